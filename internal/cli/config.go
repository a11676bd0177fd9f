package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
)

func newConfigCommand() *cobra.Command {
	var s settings
	var check bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check the configuration, and show what is in effect",
		Long: `Config reads the configuration as serve does, from a file, flags and environment
variables, and prints what is in effect, defaults included, as a configuration
file. Secrets are not shown. It does not use the network, and starts nothing.

What is wrong is said on standard error, all of it at once, and the exit status is
1. What serve would warn of is said there too. With --check nothing else is said:
for a test before a reload.`,
		Example: `  clerk-proxy config --config /etc/clerk-proxy.yaml
  clerk-proxy config --config /etc/clerk-proxy.yaml --check && kill -HUP $(pidof clerk-proxy)
  clerk-proxy config --app http://localhost:3000 --host app.dev >clerk-proxy.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			environ := os.Environ() // before Clerk's variables are dropped from it
			source, _, problems := s.source()
			loaded, _, err := source.Load()
			warnOfVariables(cmd, environ, loaded.Config.Sites)
			for _, warning := range loaded.Warnings {
				warnTo(cmd.ErrOrStderr())(warning)
			}
			if err := errors.Join(append(problems, err)...); err != nil || check {
				return err
			}
			return loaded.WriteYAML(cmd.OutOrStdout())
		},
	}
	s.add(cmd.Flags())
	cmd.Flags().BoolVar(&check, "check", false, "only say what is wrong")
	return cmd
}
