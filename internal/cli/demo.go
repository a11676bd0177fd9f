package cli

import (
	"github.com/spf13/cobra"

	"github.com/clerkproxy/clerkproxy/internal/demo"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

func newDemoCommand() *cobra.Command {
	var config demo.Config
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Sign in through the proxy, without an account and without a network",
		Long: `Demo runs an emulated Clerk, the proxy and a small application in one process.
Open the address that it prints and sign in with Clerk's real components: every
request that they make goes through the proxy, and the page shows it.

Clerk's components come from npm. In a checkout of clerkproxy, make demo installs
them and runs this command.`,
		Example: `  clerk-proxy demo
  clerk-proxy demo --listen 127.0.0.1:9000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config.Out = cmd.OutOrStdout()
			return demo.Run(cmd.Context(), config)
		},
	}
	cmd.Flags().StringVar(&config.Listen, "listen", server.DefaultListen, "`address` to listen on")
	cmd.Flags().StringVar(&config.NPMDir, "npm", "npm", "`directory` whose node_modules hold Clerk's packages")
	return cmd
}
