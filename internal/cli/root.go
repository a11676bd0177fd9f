// Package cli is the clerk-proxy command. One file holds one command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/clerkproxy/clerkproxy/internal/printable"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// The exit status says whether to look at what was asked or at how.
const (
	exitFailure = 1
	exitUsage   = 2
)

// Main runs the command with the arguments that follow the program's name and
// returns its exit status.
func Main(args []string) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()
	root := newRootCommand()
	root.SetArgs(args)
	began := false
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		began = true
		if takesVariables(cmd) && cmd.Flags().Lookup("config") == nil { // or the command knows more of them
			warnOfVariables(cmd, os.Environ(), nil)
		}
	}
	cmd, err := root.ExecuteContextC(ctx)
	own, hasOwn := errors.AsType[*statusError](err)
	switch {
	case err == nil:
		return 0
	case hasOwn:
		if own.err != nil {
			printErrors(os.Stderr, own.err)
		}
		return own.status
	case began:
		printErrors(os.Stderr, err)
		return exitFailure
	default:
		fmt.Fprintf(os.Stderr, "clerk-proxy: %s\nType %s --help for how to use it.\n", masked(strings.TrimSpace(err.Error())), cmd.CommandPath())
		return exitUsage
	}
}

// A statusError ends the process with a status of its own. Its err is printed,
// unless it is nil because the command has said everything.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return fmt.Sprintf("exit status %d: %v", e.status, e.err) }

// untilSignal returns a context that ends with the first SIGINT or SIGTERM, so
// that what is under way can end in good order. From then on a second one ends
// the process at once, as without us; signal.NotifyContext would swallow one
// that comes early.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the context
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	}()
	return ctx, cancel
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "clerk-proxy",
		Short: "Clerk's Frontend API behind a path on your own domain",
		Long: `clerk-proxy puts Clerk's Frontend API behind a path on your own domain, so that
signing in works without a DNS record for Clerk. It runs in front of your
application: requests under /__clerk go to Clerk, all others to the application.`,
		Example: `  # See it work, without an account and without a network.
  clerk-proxy demo

  # Put it in front of an application. The keys are those of a production instance.
  export CLERK_PUBLISHABLE_KEY=pk_live_…
  export CLERK_SECRET_KEY=sk_live_…
  clerk-proxy serve --listen :8080 --app http://localhost:3000 --host app.dev

  # See whether a proxy does what Clerk and browsers need, before it is used.
  clerk-proxy check https://app.dev/__clerk

  # Have Clerk use it.
  clerk-proxy enable app.dev https://app.dev/__clerk

  # Give other programs an emulated Clerk to talk to.
  clerk-proxy emulator --ca-file ca.pem --env-file clerk.env`,
		Version:       buildVersion().String(),
		SilenceErrors: true, // Main prints them
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 100 "))
	root.AddCommand(newServeCommand(), newConfigCommand(), newCheckCommand(), newEnableCommand(), newDisableCommand(), newDomainsCommand(), newRevokeCommand(),
		newDemoCommand(), newEmulatorCommand(), newHealthcheckCommand(), newVersionCommand(), newManCommand())
	root.SetFlagErrorFunc(flagError)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		completeFlags(cmd)
		switch cmd.Name() {
		case "help":
			cmd.Args = knownTopic
		case "completion": // which else takes any shell, and writes its help as the script
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// noArguments is cobra.NoArgs without a copy of the argument, which may have been
// meant as a key.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, no arguments", cmd.CommandPath())
	}
	return nil
}

// printErrors writes an error's problems, one a line. They may repeat what others
// have sent: names in a certificate, for one.
func printErrors(w io.Writer, err error) {
	for _, problem := range server.Problems(err) {
		fmt.Fprintln(w, "clerk-proxy:", masked(printable.Line(problem.Error())))
	}
}
