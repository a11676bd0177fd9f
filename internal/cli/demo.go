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
request that they make goes through the proxy, and the page shows it. The page
is rendered for whoever is signed in, and says how the server came to know.

With --satellite there is a second domain beside the first, 127.0.0.1 beside
localhost, each with a proxy of its own: sign in on the one to be signed in on
the other, and sign out on either.

Clerk's components come from npm. In a checkout of clerkproxy, make demo installs
them and runs this command.`,
		Example: `  clerk-proxy demo
  clerk-proxy demo --satellite
  clerk-proxy demo --listen 127.0.0.1:9000`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := server.CheckAddress(config.Listen); err != nil {
				return problem(cmd.Flags().Lookup("listen"), err.Error())
			}
			if err := forgetClerk(); err != nil {
				return err
			}
			config.Out = cmd.OutOrStdout()
			return demo.Run(cmd.Context(), config)
		},
	}
	cmd.Flags().StringVar(&config.Listen, "listen", server.DefaultListen, "`host:port` to listen on")
	cmd.Flags().BoolVar(&config.Satellite, "satellite", false, "run a satellite domain too, on the next port")
	cmd.Flags().StringVar(&config.NPMDir, "npm", "npm", "`directory` whose node_modules hold Clerk's packages")
	return cmd
}
