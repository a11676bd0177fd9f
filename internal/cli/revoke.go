package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
	"github.com/clerkproxy/clerkproxy/internal/config"
)

// reasons are what --reason takes.
var reasons = map[string]int{
	"key-compromise": certificate.KeyCompromise,
	"superseded":     certificate.Superseded,
	"unspecified":    certificate.Unspecified,
}

func newRevokeCommand() *cobra.Command {
	var s settings
	var ask askFlags
	reason := "key-compromise"
	cmd := &cobra.Command{
		Use:   "revoke HOST",
		Short: "Replace a host's certificate by ACME, and revoke the former one",
		Long: `Revoke is for when a key has got out. It has the authority issue another certificate
for the host, with a new key, and then revoke the one that was in use, so the host
is never without.

It is configured as serve is, and works through the storage that the servers share:
they have to be running, as the authority asks them whose host it is, and take over
the new certificate within ten seconds. Run it as the user that they run as.

A certificate in a file is for its own authority to revoke.`,
		Example: `  clerk-proxy revoke app.dev --config /etc/clerk-proxy.yaml`,
		Args:    domainArguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, _, problems := s.source()
			loaded, _, err := source.Load()
			if _, ok := reasons[reason]; !ok {
				problems = append(problems, fmt.Errorf("--reason: %q is none of %s", reason, strings.Join(slices.Sorted(maps.Keys(reasons)), ", ")))
			}
			if err := errors.Join(append(problems, err)...); err != nil {
				return err
			}
			c := loaded.Server.TLS
			if c == nil {
				c = new(certificate.Config)
			}
			if err := c.CanRevoke(args[0]); err != nil {
				return err
			}
			question := fmt.Sprintf("Have the certificate for %s replaced, and the one in use revoked?", args[0])
			if err := ask.confirm(cmd.Context(), cmd, question); err != nil {
				return err
			}
			log := slog.New(newLogHandler(config.Log{Format: loaded.Config.Log.Format, Level: "warn"}, cmd.ErrOrStderr()))
			fresh, err := certificate.Revoke(cmd.Context(), *c, args[0], reasons[reason], log)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The former certificate for %s is revoked. The new one, by %s, is valid until %s.\n",
				args[0], fresh.Issuer, fresh.NotAfter.UTC().Format(time.RFC3339))
			return nil
		},
	}
	s.add(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", reason, "`reason` to give: key-compromise, superseded or unspecified")
	cmd.Flags().BoolVarP(&ask.yes, "yes", "y", false, "go ahead without asking")
	return cmd
}
