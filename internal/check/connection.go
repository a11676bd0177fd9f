package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// maxAddresses is how many addresses of a host are looked at.
const maxAddresses = 8

// name looks up the host's addresses.
func (c *checker) name(ctx context.Context) finding {
	if addr, err := netip.ParseAddr(strings.Trim(c.host, "[]")); err == nil {
		c.addresses = []netip.Addr{addr.Unmap()}
		return ok(addr.String() + " is an address, there is nothing to look up")
	}
	if c.proxy.egress() {
		return skip("HTTPS_PROXY is set: another machine looks the name up")
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(limited, "ip", c.host)
	if err != nil {
		c.offline = c.noNetwork(ctx, err)
		if dns, is := errors.AsType[*net.DNSError](err); is && dns.IsNotFound {
			return fail(c.host+" has no address", "add an A or AAAA record for "+c.host+" that leads to the proxy, or correct the proxy URL")
		}
		return fail("the name servers do not answer for "+c.host, "look at the zone's name servers; if other names cannot be looked up here either, at this machine's")
	}
	for _, addr := range found {
		c.addresses = append(c.addresses, addr.Unmap())
	}
	return ok(c.host + " has " + listed(stringsOf(c.addresses)))
}

// connection connects to each address. One of several that does not answer is
// noticed by some visitors only, and by nobody who looks with a browser.
func (c *checker) connection(ctx context.Context) finding {
	if c.proxy.egress() {
		return skip("HTTPS_PROXY is set: another machine connects")
	}
	var refused, unknown []string
	var last error
	away := true // from any network
	for _, addr := range c.addresses[:min(len(c.addresses), maxAddresses)] {
		conn, err := c.dial(ctx, addr)
		if err == nil {
			conn.Close()
			c.reachable = append(c.reachable, addr)
			continue
		}
		last = err
		// This machine may have no IPv6, or none that leads anywhere.
		if noRoute(err) || addr.Is6() && timedOut(err) {
			unknown = append(unknown, addr.String())
		} else {
			refused = append(refused, addr.String()+" ("+dialProblem(err)+")")
		}
		away = away && noRoute(err)
	}
	port := c.port()
	switch {
	case len(c.reachable) == 0 && away:
		c.offline = c.noNetwork(ctx, last)
		return fail("there is no way from this machine to "+listed(unknown), "look at the address records of "+c.host+", and run this check elsewhere")
	case len(c.reachable) == 0:
		return fail(fmt.Sprintf("nothing answers at port %s of %s", port, listed(append(refused, unknown...))),
			"start what serves "+c.target.Host+", and let the firewall pass port "+port)
	case len(refused) > 0 && !forwarded.IsLoopback(c.host): // localhost may be one address of two
		return warn(fmt.Sprintf("%s answers, but at port %s of %s nothing does", listed(stringsOf(c.reachable)), port, listed(refused)),
			"visitors who are sent to that address wait, or fail: remove its record from "+c.host+", or serve there too")
	case len(unknown) > 0:
		return ok("port " + port + " is open at " + listed(stringsOf(c.reachable)) + "; whether it is at " + listed(unknown) + ", this machine cannot tell")
	}
	return ok("port " + port + " is open")
}

func (c *checker) dial(ctx context.Context, addr netip.Addr) (net.Conn, error) {
	dialer := net.Dialer{Timeout: c.timeout}
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), c.port()))
}

func (c *checker) port() string {
	if port := c.target.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[c.target.Scheme]
}

// noNetwork is the error of a machine that reaches Clerk no more than the proxy,
// and nil where it does reach Clerk.
func (c *checker) noNetwork(ctx context.Context, err error) error {
	if _, clerkErr := c.clerk.get(ctx, "/v1/health", nil); clerkErr == nil {
		return nil
	}
	return fmt.Errorf("this machine reaches neither %s nor Clerk; look at its network: %w", c.target.Host, err)
}

func noRoute(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func timedOut(err error) bool {
	timeout, is := errors.AsType[net.Error](err)
	return is && timeout.Timeout()
}

func dialProblem(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses the connection"
	case timedOut(err):
		return "no answer in time"
	}
	return "the connection fails"
}
