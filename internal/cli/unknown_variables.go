package cli

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

const ownVariables = "CLERK_PROXY_"

// ofKubernetes are the variables that Kubernetes gives a container about services
// whose names begin with clerk-proxy.
var ofKubernetes = regexp.MustCompile(`^CLERK_PROXY(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)=.*|PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*)$`)

// unknownVariables are warnings about variables that look as if they were ours,
// and mean nothing to any command: what was mistyped would pass unnoticed. It
// shows no values. Those of a configuration's secret keys are called what its
// author likes.
func unknownVariables(root *cobra.Command, environ []string, sites []config.Site) (warnings []string) {
	variables := map[string]string{"secret_key": "CLERK_SECRET_KEY"} // by what a flag is called there
	known := map[string]bool{}
	for _, site := range sites {
		known[site.SecretKeyEnv] = true
	}
	for _, cmd := range root.Commands() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for i, name := range f.Annotations[environmentVariables] {
				known[name] = true
				if i == 0 {
					variables[strings.ReplaceAll(f.Name, "-", "_")] = name
				}
			}
		})
	}
	names := slices.Sorted(maps.Keys(variables))
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		key, ours := strings.CutPrefix(name, ownVariables)
		if !ours || value == "" || known[name] || ofKubernetes.MatchString(variable) {
			continue
		}
		warning := name + " in the environment: there is no such variable"
		if near := config.Nearest(strings.ToLower(key), names); near != "" {
			warning += fmt.Sprintf("; did you mean %s?", variables[near])
		}
		warnings = append(warnings, masked(warning))
	}
	return warnings
}

// takesVariables reports whether a command has flags with variables.
func takesVariables(cmd *cobra.Command) (takes bool) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { takes = takes || len(f.Annotations[environmentVariables]) > 0 })
	return takes
}

func warnOfVariables(cmd *cobra.Command, environ []string, sites []config.Site) {
	for _, warning := range unknownVariables(cmd.Root(), environ, sites) {
		warnTo(cmd.ErrOrStderr())(warning)
	}
}
