package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/check"
)

type checkCommand struct {
	flags *pflag.FlagSet

	proxyURL       string
	publishableKey string
	secretKeyFile  string
	domainID       string
	ca             string
	address        string
	stranger       bool
	fapiURL        string
	apiURL         string
	fapiCA         string
	timeout        time.Duration
	json           bool
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
		Args: cobra.ArbitraryArgs, // counted by run, which does not repeat them
		RunE: c.run,
	}

	c.flags = cmd.Flags()
	c.flags.SortFlags = false
	c.flags.StringVar(&c.proxyURL, "proxy-url", "", "public `URL` of the proxy, instead of the argument")
	c.flags.StringVar(&c.publishableKey, "publishable-key", "", "the instance's publishable `key`, pk_live_…")
	c.flags.StringVar(&c.secretKeyFile, "secret-key-file", "", "`file` that holds the secret key, instead of CLERK_SECRET_KEY")
	c.flags.StringVar(&c.domainID, "domain-id", "", "`id` of the domain that the proxy is for, dmn_… (default looked up with the secret key)")
	c.flags.StringVar(&c.ca, "ca", "", "PEM `file` with the authorities to trust for the proxy (default the system's)")
	c.flags.StringVar(&c.address, "address", "", "`address` from which the world sees this machine, if that cannot be found out")
	c.flags.BoolVar(&c.stranger, "stranger", false, "the proxy has no reason to trust this machine, though it comes from a private address")
	c.flags.StringVar(&c.fapiURL, "fapi-url", "", "`URL` of the Frontend API (default that of the publishable key's instance)")
	c.flags.StringVar(&c.apiURL, "api-url", "", "`URL` of the Backend API (default https://api.clerk.com)")
	c.flags.StringVar(&c.fapiCA, "fapi-ca", "", "PEM `file` with the authorities to trust for both APIs (default the system's)")
	c.flags.DurationVar(&c.timeout, "timeout", check.DefaultTimeout, "how long each request may take")
	c.flags.BoolVar(&c.json, "json", false, "print the report as JSON, once it is complete")
	fromEnvironment(c.flags, map[string][]string{
		"proxy-url":       {"CLERK_PROXY_URL", "NEXT_PUBLIC_CLERK_PROXY_URL"},
		"publishable-key": {"CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"},
		"secret-key-file": {"CLERK_SECRET_KEY_FILE"},
		"fapi-url":        {"CLERK_FAPI_URL"},
		"api-url":         {"CLERK_API_URL"},
	})
	return cmd
}

func (c *checkCommand) run(cmd *cobra.Command, args []string) error {
	problems := readEnvironment(c.flags)
	warn := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "clerk-proxy: warning:", text) }
	config, configProblems := c.config(args, warn)
	problems = append(problems, configProblems...)
	if len(problems) > 0 {
		return notAsked(errors.Join(append(problems, c.inFlags(config.Validate())...)...))
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
		return notAsked(errors.Join(c.inFlags(err)...))
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

// config is what the argument and the flags say. Whatever they hold that
// check.Run does not check is checked here.
func (c *checkCommand) config(args []string, warn func(string)) (config check.Config, problems []error) {
	fail := func(flag, format string, args ...any) {
		problems = append(problems, problem(c.flags.Lookup(flag), fmt.Sprintf(format, args...)))
	}
	switch {
	case len(args) > 1:
		problems = append(problems, errors.New("clerk-proxy check takes one proxy URL; keys are not arguments, where other users could read them"))
	case len(args) == 1 && c.flags.Changed("proxy-url"):
		fail("proxy-url", "is given along with an argument; leave one of them out")
	case len(args) == 1:
		c.proxyURL = args[0]
	}
	config = check.Config{
		ProxyURL:       c.proxyURL,
		PublishableKey: c.publishableKey,
		DomainID:       c.domainID,
		FrontendAPIURL: c.fapiURL,
		BackendAPIURL:  c.apiURL,
		Stranger:       c.stranger,
		Timeout:        c.timeout,
	}
	var err error
	if config.SecretKey, err = secretKey(c.secretKeyFile, warn); err != nil {
		fail("secret-key-file", "%v", err)
	}
	if c.ca != "" {
		if config.RootCAs, err = readCertificates(c.ca); err != nil {
			fail("ca", "%s %v", c.ca, err)
		}
	}
	if c.fapiCA != "" {
		if config.ClerkRootCAs, err = readCertificates(c.fapiCA); err != nil {
			fail("fapi-ca", "%s %v", c.fapiCA, err)
		}
	}
	if c.address != "" {
		if config.Address, err = netip.ParseAddr(c.address); err != nil {
			fail("address", "%q is not an IP address; write one such as 203.0.113.7", c.address)
		}
	}
	if c.timeout <= 0 {
		fail("timeout", "%s is too short; write a time such as 10s", c.timeout)
		config.Timeout = 0
	}
	return config, problems
}

// inFlags names the flags where check.Run names the fields of its Config.
func (c *checkCommand) inFlags(err error) (problems []error) {
	flags := map[string]string{
		"ProxyURL":       "proxy-url",
		"DomainID":       "domain-id",
		"FrontendAPIURL": "fapi-url",
		"BackendAPIURL":  "api-url",
		"Timeout":        "timeout",
	}
	for _, each := range problemsOf(err) {
		if config, is := errors.AsType[*check.ConfigError](each); is {
			each = problem(c.flags.Lookup(flags[config.Field]), config.Problem)
		}
		if each != nil {
			problems = append(problems, each)
		}
	}
	return problems
}

// notAsked is an error because of which nothing was found out.
func notAsked(err error) error { return &statusError{status: exitUsage, err: err} }

func printJSON(w io.Writer, report check.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}
