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
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/domains"
	"github.com/clerkproxy/clerkproxy/internal/printable"
)

// defaultWait is how long a change of Clerk's may take to be known everywhere. As
// long as it is broken, nobody can sign in.
const defaultWait = 10 * time.Second

// newSwitch is what enable and disable have in common.
func newSwitch(cmd *cobra.Command, clerk *domains.Clerk, ask askFlags, wait time.Duration) *domains.Switch {
	return &domains.Switch{
		Clerk: clerk,
		Confirm: func(ctx context.Context, change domains.Change) error {
			showChange(cmd.OutOrStdout(), change)
			if ask.dryRun {
				fmt.Fprint(cmd.OutOrStdout(), "Nothing was changed. This would be sent:\n\n", clerk.Request(change.Domain.ID, change.ProxyURL))
				return errDryRun
			}
			return ask.confirm(ctx, cmd, "Change it?")
		},
		Tell:     func(line string) { fmt.Fprintln(cmd.OutOrStdout(), printable.Line(line)) },
		Patience: wait,
	}
}

func showChange(w io.Writer, change domains.Change) {
	uses := func(proxyURL, direct string) string {
		if proxyURL == "" {
			return "DNS" + direct
		}
		return "the proxy " + proxyURL
	}
	d := change.Domain
	fmt.Fprintf(w, "\n  domain  %s\n  now     %s\n  then    %s\n\n", d, uses(d.ProxyURL, ", "+d.FrontendAPIURL), uses(change.ProxyURL, ""))
}

// waitProblems returns what is wrong with a --wait, or nothing.
func waitProblems(flags *pflag.FlagSet, wait time.Duration) []error {
	if wait >= 0 {
		return nil
	}
	return []error{problem(flags.Lookup("wait"), fmt.Sprintf("%s is negative; 0 means to look once", wait))}
}

// domainArguments wants a domain, and at most so many arguments. It repeats none:
// it may have been meant as a key.
func domainArguments(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		usage := "write: " + cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name())
		switch {
		case len(args) == 0:
			return errors.New("the domain is missing; " + usage)
		case strings.Contains(args[0], "://"):
			return errors.New("the first argument is a URL, not a domain; " + usage)
		case len(args) > most:
			return errors.New("there are too many arguments; " + usage)
		}
		for _, arg := range args {
			if strings.Contains(arg, "sk_live_") || strings.Contains(arg, "sk_test_") {
				return errors.New("an argument is a secret key, which others can read on a command line; set CLERK_SECRET_KEY or use --secret-key-file")
			}
		}
		return nil
	}
}

// steadily returns a context for what must not be left half done. It ends with an
// interrupt, and when the terminal goes away. From then on interrupts do nothing:
// an impatient person shall not keep a change from being undone. Nor does it end
// the process that a reader of its output goes away.
func steadily(parent context.Context) context.Context {
	signal.Ignore(syscall.SIGPIPE)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, _ := signal.NotifyContext(parent, signals...) // until the process ends, and what it did is told
	return ctx
}

// asked is how a command ends that a [domains.Switch] came back from with err.
func asked(err error) error {
	var before *domains.NotAskedError
	switch {
	case errors.Is(err, errDryRun):
		return nil
	case errors.As(err, &before) && errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.As(err, &before):
		return notAsked(before.Err)
	}
	return err
}
