package cli

import (
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/check"
)

type checkCommand struct {
	flags *pflag.FlagSet

	proxyURL string
	instance instanceFlags
	domainID string
	check    checkFlags
	json     bool
}

func newCheckCommand() *cobra.Command {
	var c checkCommand
	cmd := &cobra.Command{
		Use:   "check [PROXY-URL]",
		Short: "Look at a proxy from outside, as Clerk and a browser do",
		Long: `Check goes through everything that a proxy for Clerk has to get right, and says
for each step what it saw and what to do. The proxy may be this program or any
other. Nothing is changed by it, neither at the proxy nor at Clerk.

Run it before the proxy URL is set at Clerk, and after. With the secret key, in
CLERK_SECRET_KEY or in a file, it also learns what Clerk sees of the proxy: the
key is sent to Clerk, never to the proxy. Run it from a machine that is not in the
proxy's own network, as visitors are not either.

Each flag can be set by the environment variable in brackets instead; the flag
goes first. NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY and NEXT_PUBLIC_CLERK_PROXY_URL work
too.

The exit status is 0 when nothing is broken, warnings or not, 1 when something is,
and 2 when the proxy could not be asked.`,
		Example: `  clerk-proxy check https://app.dev/__clerk
  clerk-proxy check https://app.dev/__clerk --secret-key-file key
  clerk-proxy check https://app.dev/__clerk --json | jq '.steps[] | select(.status == "fail")'`,
		Args: oneProxyURL,
		RunE: c.run,
	}

	c.flags = cmd.Flags()
	c.flags.SortFlags = false
	c.flags.StringVar(&c.proxyURL, "proxy-url", "", "public `URL` of the proxy, instead of the argument")
	c.instance.add(c.flags)
	c.flags.StringVar(&c.domainID, "domain-id", "", "`id` of the domain that the proxy is for, dmn_… (default looked up with the secret key)")
	c.check.add(c.flags)
	c.flags.BoolVar(&c.json, "json", false, "print the report as JSON, once it is complete")
	fromEnvironment(c.flags, instanceVariables())
	return cmd
}

// oneProxyURL does not repeat the arguments, one of which may have been meant as a
// key.
func oneProxyURL(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return errors.New("clerk-proxy check takes one proxy URL; keys are not arguments, where other users could read them")
	}
	return nil
}

func (c *checkCommand) run(cmd *cobra.Command, args []string) error {
	problems := readEnvironment(c.flags)
	config, configProblems := c.config(args, warnTo(cmd.ErrOrStderr()))
	problems = append(problems, configProblems...)
	if len(problems) > 0 {
		return notAsked(errors.Join(append(problems, inCheckFlags(c.flags, config.Validate())...)...))
	}

	var shown *progress
	if !c.json {
		shown = newProgress(cmd.OutOrStdout())
		config.OnStart, config.OnStep = shown.start, shown.step
	}
	report, err := check.Run(cmd.Context(), config)
	if err != nil {
		if shown != nil {
			shown.clear()
		}
		if cmd.Context().Err() != nil {
			err = errors.New("interrupted before everything was looked at")
		}
		return notAsked(errors.Join(inCheckFlags(c.flags, err)...))
	}
	if shown != nil {
		shown.summary(report)
	} else if err := printJSON(cmd.OutOrStdout(), report); err != nil {
		return notAsked(err)
	}
	if report.Status == check.Fail {
		return &statusError{status: exitFailure}
	}
	return nil
}

// config is what the argument and the flags say.
func (c *checkCommand) config(args []string, warn func(string)) (config check.Config, problems []error) {
	switch {
	case len(args) == 1 && c.flags.Changed("proxy-url"):
		problems = append(problems, problem(c.flags.Lookup("proxy-url"), "is given along with an argument; leave one of them out"))
	case len(args) == 1:
		c.proxyURL = args[0]
	}
	clerk, instanceProblems := c.instance.read(c.flags, warn)
	config, checkProblems := c.check.config(c.flags, clerk)
	config.ProxyURL, config.DomainID = c.proxyURL, c.domainID
	return config, slices.Concat(problems, instanceProblems, checkProblems)
}

// notAsked is an error because of which nothing was found out.
func notAsked(err error) error { return &statusError{status: exitUsage, err: err} }

func printJSON(w io.Writer, report check.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}
