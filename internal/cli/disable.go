package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/domains"
)

type disableCommand struct {
	flags *pflag.FlagSet

	instance  instanceFlags
	dnsServer string
	wait      time.Duration
	ask       askFlags
}

func newDisableCommand() *cobra.Command {
	var c disableCommand
	cmd := &cobra.Command{
		Use:   "disable DOMAIN",
		Short: "Have Clerk use DNS for a domain again, without the proxy",
		Long: `Disable makes a domain of the instance use DNS again: browsers then reach Clerk at
a host such as clerk.app.dev, which is a CNAME of one of Clerk's. DOMAIN is a host
or an id; clerk-proxy domains lists both. Pages that still use the proxy URL
cannot sign anybody in from then on.

It looks for that CNAME, shows what will change, asks, takes the proxy URL away
through Clerk's Backend API, and checks that the Frontend API answers without a
proxy. If it does not, or if it is interrupted before that is known, the domain
gets its proxy URL back.

It ends with status 0 when the domain uses DNS and the Frontend API answers; with
1 when that was refused or undone; with 2 when it never came to a change, because
of what was typed, the keys or the network.`,
		Example: `  clerk-proxy disable app.dev
  clerk-proxy disable app.dev --dns-server 1.1.1.1`,
		Args: domainArguments(1),
		RunE: c.run,
	}
	c.flags = cmd.Flags()
	c.flags.SortFlags = false
	c.instance.add(c.flags)
	c.flags.StringVar(&c.dnsServer, "dns-server", "", "`host` or host:port of the DNS server to ask (default the system's)")
	c.flags.DurationVar(&c.wait, "wait", defaultWait, "how long the Frontend API may take to answer, before the change is undone")
	fromEnvironment(c.flags, instanceVariables())
	c.ask.add(c.flags)
	return cmd
}

func (c *disableCommand) run(cmd *cobra.Command, args []string) error {
	problems := readEnvironment(c.flags)
	instance, keyProblems := c.instance.readKeys(c.flags, warnTo(cmd.ErrOrStderr()))
	clerk, urlProblems := instance.domains(c.flags)
	problems = slices.Concat(problems, keyProblems, urlProblems, instance.productionOnly(), waitProblems(c.flags, c.wait))
	if err := errors.Join(problems...); err != nil {
		return notAsked(err)
	}

	resolver := newResolver(c.dnsServer)
	direct := instance.transport()
	direct.DialContext = (&net.Dialer{Resolver: resolver}).DialContext
	s := newSwitch(cmd, clerk, c.ask, c.wait)
	s.Resolver, s.CheckDirect = resolver, domains.Direct{Transport: direct}.Check

	err := s.Disable(steadily(cmd.Context()), args[0])
	if err == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "Take the proxy URL out of your pages too.")
	}
	return asked(err)
}

// newResolver asks a DNS server, or the system's when it is empty. It is Go's own:
// the system's looks for addresses, which the records for mail do not lead to.
func newResolver(server string) *net.Resolver {
	resolver := &net.Resolver{PreferGo: true}
	if server == "" {
		return resolver
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "53")
	}
	resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}
	return resolver
}
