package check

import (
	"context"
	"fmt"
	"net/netip"
)

// spoofed are the headers in which proxies and content delivery networks give
// the visitor's address, and so the ones that are worth inventing.
var spoofed = []string{
	"X-Forwarded-For",
	"Forwarded",
	"X-Real-IP",
	"CF-Connecting-IP",
	"True-Client-IP",
	"X-Client-IP",
	"X-Cluster-Client-IP",
	"Fastly-Client-IP",
	"Fly-Client-IP",
	"CloudFront-Viewer-Address",
	"X-Envoy-External-Address",
	"X-Original-Forwarded-For",
}

// spoofing invents an address in one header at a time, and looks whether Clerk
// is told it. Whoever can choose their address is not held by Clerk's limits.
func (c *checker) spoofing(ctx context.Context) finding {
	if c.healthy == nil {
		return skip("Clerk has to find the proxy healthy first: then it says which address it was told")
	}
	var won []string
	for i, header := range spoofed {
		// Of a range that nobody has: RFC 5737, TEST-NET-1.
		invented := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
		value := invented.String()
		switch header {
		case "Forwarded":
			value = "for=" + value // RFC 7239
		case "CloudFront-Viewer-Address":
			value += ":4711"
		}
		h, err := c.askHealth(ctx, map[string]string{header: value})
		if err != nil {
			return skip(fmt.Sprintf("no answer came to a request with an invented %s", header))
		}
		if h.isHealthy() && h.address() == invented {
			won = append(won, header)
		}
	}
	return c.judgeSpoofing(won)
}

func (c *checker) judgeSpoofing(won []string) finding {
	if len(won) == 0 {
		return ok("addresses invented in X-Forwarded-For and others come to nothing")
	}
	headers := listed(won)
	if c.maybeTrusted() && !c.Stranger {
		return skip("an address invented in " + headers + " is believed. The proxy may be right to believe this machine, which comes from a loopback or private address as a proxy in front would: run this check from elsewhere, or say that this machine is a stranger to it (--stranger)")
	}
	advice := "have the proxy read " + headers + " only from what is in front of it, by address (--trusted-proxies; with nginx, set_real_ip_from), or not at all"
	if len(won) == 1 && won[0] == "X-Forwarded-For" {
		advice += "; with nginx, $remote_addr in the place of $proxy_add_x_forwarded_for"
	}
	return fail("anyone can choose the address that Clerk is told, with the header "+headers, advice)
}

// maybeTrusted reports whether this machine looks to the proxy like one of its
// own network, which it may believe.
func (c *checker) maybeTrusted() bool {
	return inside(c.healthy.remote) || inside(c.healthy.address())
}
