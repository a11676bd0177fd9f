package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

type enableCommand struct {
	flags *pflag.FlagSet

	proxyURL string
	instance instanceFlags
	check    checkFlags
	wait     time.Duration
	ask      askFlags
}

func newEnableCommand() *cobra.Command {
	var c enableCommand
	cmd := &cobra.Command{
		Use:   "enable DOMAIN [PROXY-URL]",
		Short: "Have Clerk use the proxy for a domain",
		Long: `Enable makes a domain of the instance use the proxy at a URL: browsers then reach
Clerk through it. DOMAIN is a host or an id; clerk-proxy domains lists both. The
proxy must run already.

It checks the proxy, shows what will change, asks, sets the proxy URL through
Clerk's Backend API, and checks that people can sign in. If they cannot, or if it
is interrupted before that is known, the domain gets its former value back. What
is enabled already is checked and left alone.

It ends with status 0 when the domain uses the proxy and signing in works; with 1
when that was refused or undone; with 2 when it never came to a change, because of
what was typed, the keys or the network.`,
		Example: `  clerk-proxy enable app.dev https://app.dev/__clerk
  clerk-proxy enable app.dev https://app.dev/__clerk --dry-run
  clerk-proxy enable satellite.dev https://satellite.dev/__clerk --yes`,
		Args: domainArguments(2),
		RunE: c.run,
	}
	c.flags = cmd.Flags()
	c.flags.SortFlags = false
	c.flags.StringVar(&c.proxyURL, "proxy-url", "", "public `URL` of the proxy, instead of the argument")
	c.instance.add(c.flags)
	c.check.add(c.flags)
	c.flags.DurationVar(&c.wait, "wait", defaultWait, "how long signing in may take to work, before the change is undone")
	fromEnvironment(c.flags, instanceVariables())
	c.ask.add(c.flags)
	return cmd
}

func (c *enableCommand) run(cmd *cobra.Command, args []string) error {
	problems := readEnvironment(c.flags)
	if len(args) > 1 {
		if c.flags.Changed("proxy-url") {
			problems = append(problems, problem(c.flags.Lookup("proxy-url"), "is given along with an argument; leave one of them out"))
		}
		c.proxyURL = args[1]
	}
	instance, keyProblems := c.instance.readKeys(c.flags, warnTo(cmd.ErrOrStderr()))
	clerk, urlProblems := instance.domains(c.flags)
	if clerk == nil {
		instance.apiURL = "" // what is wrong with it need not be said twice
	}
	config, checkProblems := c.check.config(c.flags, instance)
	config.ProxyURL = c.proxyURL
	problems = slices.Concat(problems, keyProblems, urlProblems, checkProblems, inCheckFlags(c.flags, config.Validate()),
		instance.productionOnly(), waitProblems(c.flags, c.wait))
	if err := errors.Join(problems...); err != nil {
		return notAsked(err)
	}

	// Proxies tell Clerk their URL in this form, and the two must be equal.
	origin, path, _ := forwarded.ParseProxyURL(c.proxyURL)
	proxyURL := origin + path
	s := newSwitch(cmd, clerk, c.ask, c.wait)
	s.CheckProxy = proxyCheck(config, newProgress(cmd.OutOrStdout()), s.Tell)
	err := s.Enable(steadily(cmd.Context()), args[0], proxyURL)
	if err == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "Your pages must know the proxy too: NEXT_PUBLIC_CLERK_PROXY_URL=%s\n", proxyURL)
	}
	return asked(err)
}

// proxyCheck is the CheckProxy of a [domains.Switch]. It tells what people should
// know before they decide, and afterwards only what is broken. On a terminal it
// shows the step under way, as a check may take a minute.
func proxyCheck(config check.Config, shown *progress, tell func(string)) func(context.Context, string, string, bool) ([]string, error) {
	first := true
	config.OnStart = func(name string) { shown.clear(); shown.start(name) }
	return func(ctx context.Context, proxyURL, domainID string, enabled bool) (problems []string, err error) {
		config.ProxyURL, config.DomainID = proxyURL, domainID
		report, err := check.Run(ctx, config)
		shown.clear()
		if err != nil {
			return nil, err
		}
		for _, step := range report.Steps {
			text := step.Name + ": " + step.Seen
			if step.Advice != "" {
				text += "; " + step.Advice
			}
			switch {
			case step.Status == check.Fail:
				problems = append(problems, text)
			case step.Name == "domain": // which URL is set is shown, and about to change
			case step.Status == check.Warn && first:
				tell("Note: " + text + ".")
			}
		}
		if enabled && !report.Enabled && problems == nil {
			problems = []string{"Clerk does not serve the instance at " + proxyURL}
		}
		first = false
		return problems, nil
	}
}
