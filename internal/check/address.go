package check

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// address compares the address that Clerk was told with those that this machine
// has.
func (c *checker) address(ctx context.Context) finding {
	if c.healthy == nil {
		return skip("Clerk has to find the proxy healthy first: then it says which address it was told")
	}
	if c.healthy.ForwardedFor == "" {
		return skip("Clerk does not say which address it was told")
	}
	s := sight{
		told:    c.healthy.address(),
		text:    c.healthy.ForwardedFor,
		local:   c.healthy.local,
		remote:  c.healthy.remote,
		proxies: append(slices.Clone(c.addresses), c.healthy.remote),
		own:     ownAddresses(),
		public:  c.Address.Unmap(),
		advice:  addressAdvice(c.healthy.answer),
	}
	if c.proxy.egress() {
		s.local, s.remote = netip.Addr{}, netip.Addr{} // those of the connection to another machine
	}
	if !s.public.IsValid() && !s.decided() {
		s.public, s.guessed = c.publicAddress(ctx), true
	}
	return s.judge()
}

// sight is what is known of the address that Clerk was told.
type sight struct {
	told netip.Addr
	text string // as Clerk gave it

	local, remote netip.Addr   // of the connection to the proxy; invalid where it is not ours
	proxies       []netip.Addr // of the proxy URL's host
	own           []netip.Addr // of this machine's interfaces
	// public is the address from which the world sees this machine, or invalid.
	public netip.Addr
	// guessed is true where public is that of another connection: a carrier may
	// use several.
	guessed bool

	advice string
}

// decided reports whether the addresses of the connection alone decide. Behind
// address translation they do not: what the proxy sees is none of them.
func (s sight) decided() bool {
	return s.isOwn() || s.told.IsLoopback() || !s.translated()
}

// isOwn is certain: the address is this machine's. Every machine has a loopback
// address, so that one counts only where the connection has it.
func (s sight) isOwn() bool {
	return s.told == s.local || slices.Contains(s.own, s.told) && !s.told.IsLoopback()
}

// translated reports whether the proxy may see another address than the
// connection has on this side.
func (s sight) translated() bool {
	return !s.local.IsValid() || inside(s.local) && !s.local.IsLoopback()
}

func (s sight) judge() finding {
	if !s.told.IsValid() {
		return fail("Clerk was told an address that is none: "+quoted(s.text), s.advice)
	}
	told, here := s.told.String(), s.local.String()
	switch {
	case s.isOwn():
		return ok("Clerk was told " + told + ", this machine's address")
	case s.told == s.public:
		return ok("Clerk was told " + told + ", the address from which the world sees this machine")
	case s.told.IsLoopback() && s.local.IsValid() && !s.local.IsLoopback():
		return fail("Clerk was told "+told+", the proxy's own machine, and not this one: to Clerk all visitors are one", s.advice)
	case !s.translated():
		return fail("Clerk was told "+told+s.whose()+", though this machine is "+here+": to Clerk all who come that way are one visitor", s.advice)
	case s.public.IsValid() && !inside(s.told) && (!s.guessed || slices.Contains(s.proxies, s.told)):
		return fail("Clerk was told "+told+s.whose()+", though the world sees this machine as "+s.public.String()+": to Clerk all who come that way are one visitor", s.advice)
	}
	return s.doubt()
}

// doubt is for an address of which nobody here can know whose it is.
func (s sight) doubt() finding {
	told := s.told.String()
	switch {
	case inside(s.told):
		return warn("Clerk was told "+told+", a private address. It is right only if the proxy sees this machine so, within a network that both are in; from elsewhere it would be that of something in front of the proxy",
			"run this check from outside of the proxy's network; if it warns there too: "+s.advice)
	case slices.Contains(s.proxies, s.told):
		return warn("Clerk was told "+told+", an address of the proxy itself. It is right only if this machine goes out by the same address, behind the same router",
			"compare it with the address from which the world sees this machine, and give that one (--address); if they differ: "+s.advice)
	case s.public.IsValid():
		return warn("Clerk was told "+told+", while another connection of this machine comes from "+s.public.String()+". Both may be this machine's, where a carrier uses several",
			"compare the first with what a page that shows your address says; if it is another's: "+s.advice)
	}
	return warn("Clerk was told "+told+". This machine is behind address translation, so nobody here can tell whether that is its address",
		"compare it with the address from which the world sees this machine, and give that one (--address); if they differ: "+s.advice)
}

// whose says of a wrong address whose it is, where that is known.
func (s sight) whose() string {
	if slices.Contains(s.proxies, s.told) {
		return ", an address of the proxy itself"
	}
	return ", that of something between this machine and the proxy"
}

// addressAdvice is how to have the proxy tell the visitor's address, with what
// is known to be in front of it.
func addressAdvice(a *answer) string {
	const own = "have the proxy believe what is in front of it about the visitor's address, and nobody else: "
	header, network := "", ""
	switch {
	case a.isCloudflare():
		header, network = "CF-Connecting-IP", "Cloudflare's"
	case a.header.Get("X-Amz-Cf-Id") != "":
		header, network = "CloudFront-Viewer-Address", "CloudFront's"
	case a.header.Get("Fly-Request-Id") != "":
		return own + "--client-ip-header Fly-Client-IP"
	case strings.HasPrefix(a.header.Get("X-Served-By"), "cache-"):
		header, network = "Fastly-Client-IP", "Fastly's"
	case a.header.Get("X-Akamai-Request-Id") != "":
		header, network = "True-Client-IP", "Akamai's"
	default:
		return own + "--trusted-proxies with its addresses; with nginx, set_real_ip_from and real_ip_header"
	}
	return own + "--trusted-proxies with " + network + " ranges, and --client-ip-header " + header + "; with nginx, set_real_ip_from and real_ip_header"
}

func ownAddresses() (own []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then none is known
	}
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			own = append(own, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return own
}

// publicAddress asks Cloudflare, which is in front of Clerk's Frontend API, for
// the address that it sees; it is invalid where Cloudflare does not say. The
// address has to be of the kind that was told: a machine has one of each.
// https://developers.cloudflare.com/fundamentals/reference/cdn-cgi-endpoint/
func (c *checker) publicAddress(ctx context.Context) netip.Addr {
	a, err := c.clerk.get(ctx, "/cdn-cgi/trace", nil)
	if err != nil || a.status != http.StatusOK {
		return netip.Addr{}
	}
	lines := bufio.NewScanner(bytes.NewReader(a.plain))
	for lines.Scan() {
		if value, is := strings.CutPrefix(lines.Text(), "ip="); is {
			addr, err := netip.ParseAddr(value)
			if err != nil || inside(addr) || addr.Is4() != c.healthy.address().Is4() {
				return netip.Addr{}
			}
			return addr
		}
	}
	return netip.Addr{}
}
