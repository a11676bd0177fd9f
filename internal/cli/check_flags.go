package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// checkFlags are those of a command that checks a proxy, besides instanceFlags.
type checkFlags struct {
	ca       string
	address  string
	stranger bool
	fapiURL  string
	timeout  time.Duration
}

func (f *checkFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.ca, "ca", "", "PEM `file` with the authorities to trust for the proxy (default the system's)")
	flags.StringVar(&f.address, "address", "", "`address` from which the world sees this machine, if that cannot be found out")
	flags.BoolVar(&f.stranger, "stranger", false, "the proxy has no reason to trust this machine, though it comes from a private address")
	flags.StringVar(&f.fapiURL, "fapi-url", "", "`URL` of the Frontend API (default that of the publishable key's instance)")
	flags.DurationVar(&f.timeout, "timeout", check.DefaultTimeout, "how long each request may take")
}

// config is what these flags say of an instance. Whatever they hold that check
// does not look at is looked at here.
func (f *checkFlags) config(flags *pflag.FlagSet, i clerkInstance) (c check.Config, problems []error) {
	fail := func(flag, format string, args ...any) {
		problems = append(problems, problem(flags.Lookup(flag), fmt.Sprintf(format, args...)))
	}
	c = check.Config{
		PublishableKey: i.publishableKey,
		SecretKey:      i.secretKey,
		FrontendAPIURL: f.fapiURL,
		BackendAPIURL:  i.apiURL,
		ClerkRootCAs:   i.roots,
		Stranger:       f.stranger,
		Timeout:        f.timeout,
	}
	var err error
	if f.ca != "" {
		if c.RootCAs, err = config.ReadCertificates(f.ca); err != nil {
			fail("ca", "%s %v", f.ca, err)
		}
	}
	if f.address != "" {
		if c.Address, err = netip.ParseAddr(f.address); err != nil {
			fail("address", "%q is not an IP address; write one such as 203.0.113.7", f.address)
		}
	}
	if f.timeout <= 0 {
		fail("timeout", "%s is too short; write a time such as 10s", f.timeout)
		c.Timeout = 0
	}
	return c, problems
}

// inCheckFlags names the flags where check names the fields of its Config.
func inCheckFlags(flags *pflag.FlagSet, err error) (problems []error) {
	names := map[string]string{
		"ProxyURL":       "proxy-url",
		"DomainID":       "domain-id",
		"FrontendAPIURL": "fapi-url",
		"BackendAPIURL":  "api-url",
		"Timeout":        "timeout",
	}
	for _, each := range server.Problems(err) {
		if config, is := errors.AsType[*check.ConfigError](each); is {
			each = problem(flags.Lookup(names[config.Field]), config.Problem)
		}
		if each != nil {
			problems = append(problems, each)
		}
	}
	return problems
}
