package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/clerkproxy/clerkproxy/internal/domains"
)

func newDomainsCommand() *cobra.Command {
	var flags instanceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "domains",
		Short: "List the instance's domains, and which of them use a proxy",
		Long: `Domains asks Clerk's Backend API for the instance's domains: the primary one and
its satellites, with their ids, whether they use a proxy or DNS, and the DNS
records that Clerk wants for them. It changes nothing.

It ends with status 2 when Clerk cannot be asked.`,
		Example: `  clerk-proxy domains
  clerk-proxy domains --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			problems := readEnvironment(cmd.Flags())
			instance, keyProblems := flags.readKeys(cmd.Flags(), warnTo(cmd.ErrOrStderr()))
			clerk, urlProblems := instance.domains(cmd.Flags())
			if err := errors.Join(slices.Concat(problems, keyProblems, urlProblems)...); err != nil {
				return notAsked(err)
			}
			all, err := clerk.List(cmd.Context())
			if err != nil {
				return notAsked(err)
			}
			if asJSON {
				return writeDomainsJSON(cmd.OutOrStdout(), all)
			}
			return writeDomains(cmd.OutOrStdout(), all)
		},
	}
	cmd.Flags().SortFlags = false
	flags.add(cmd.Flags())
	fromEnvironment(cmd.Flags(), instanceVariables())
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// domainState is how a domain's browsers reach the Frontend API.
func domainState(d domains.Domain) string {
	if d.ProxyURL == "" {
		return "dns"
	}
	return "proxied"
}

func writeDomains(w io.Writer, all []domains.Domain) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(table, strings.Join(cells, "\t")) }
	row("DOMAIN", "ID", "KIND", "STATE", "PROXY URL")
	records := 0
	for _, d := range all {
		row(d.Name, d.ID, d.Kind(), domainState(d), cmp.Or(d.ProxyURL, "-"))
		records += len(d.CNAMEs)
	}
	if err := table.Flush(); err != nil || records == 0 {
		return err
	}
	row("")
	row("CNAME", "TARGET", "REQUIRED")
	for _, d := range all {
		for _, c := range d.CNAMEs {
			required := "no"
			if c.Required {
				required = "yes"
			}
			row(c.Host, c.Target, required)
		}
	}
	return table.Flush()
}

// writeDomainsJSON uses the names of Clerk's Backend API.
func writeDomainsJSON(w io.Writer, all []domains.Domain) error {
	type cname struct {
		Host     string `json:"host"`
		Value    string `json:"value"`
		Required bool   `json:"required"`
	}
	type domain struct {
		ID             string  `json:"id"`
		Name           string  `json:"name"`
		IsSatellite    bool    `json:"is_satellite"`
		State          string  `json:"state"`
		ProxyURL       *string `json:"proxy_url"`
		FrontendAPIURL string  `json:"frontend_api_url"`
		CNAMETargets   []cname `json:"cname_targets"`
	}
	list := []domain{}
	for _, d := range all {
		shown := domain{ID: d.ID, Name: d.Name, IsSatellite: d.Satellite, State: domainState(d), FrontendAPIURL: d.FrontendAPIURL, CNAMETargets: []cname{}}
		if d.ProxyURL != "" {
			shown.ProxyURL = &d.ProxyURL
		}
		for _, c := range d.CNAMEs {
			shown.CNAMETargets = append(shown.CNAMETargets, cname{c.Host, c.Target, c.Required})
		}
		list = append(list, shown)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(list)
}
