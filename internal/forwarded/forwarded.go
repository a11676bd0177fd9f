// Package forwarded tells what can be believed of where a request came from:
// the client's IP address and the public origin. Headers that say so are
// believed of trusted proxies only; from anyone else they are the client's to
// invent.
package forwarded

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// DefaultTrustedProxies are the loopback, private, link-local and unique-local
// ranges: addresses from which no stranger on the Internet can connect.
func DefaultTrustedProxies() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("fe80::/10"),
		netip.MustParsePrefix("fc00::/7"),
	}
}

// Policy says which peers are trusted proxies and what is read from them.
type Policy struct {
	// Trusted are the ranges of the proxies in front. None: nobody is
	// trusted. See [DefaultTrustedProxies].
	Trusted []netip.Prefix
	// ClientIPHeader is the header in which a trusted proxy gives the
	// client's address, such as CF-Connecting-IP, in canonical form. Empty:
	// X-Forwarded-For is walked.
	ClientIPHeader string
}

// Source is where a request came from, as far as it can be believed.
type Source struct {
	// PeerTrusted is true when the peer of the connection is a trusted proxy.
	PeerTrusted bool
	// ClientIP is the address of the client, in canonical form: IPv4-mapped
	// addresses as IPv4, without a zone. It is invalid when it is not known.
	ClientIP netip.Addr
	// Scheme is http or https, as the client used it.
	Scheme string
	// Host is the public host in lower case, with its port unless that is
	// the scheme's own. It is empty when the request names no valid host.
	Host string
}

// Origin is the public origin, such as https://app.dev.
func (s Source) Origin() string { return s.Scheme + "://" + s.Host }

// Source looks at a request.
func (p *Policy) Source(r *http.Request) Source {
	return p.SourceOf(PeerAddr(r.RemoteAddr), r.TLS != nil, r.Host, r.Header)
}

// SourceOf looks at a request that is not one of net/http's: at the address of
// the peer, in canonical form, whether the connection has TLS, and what the
// request says.
func (p *Policy) SourceOf(peer netip.Addr, secure bool, host string, h wire.Header) Source {
	s := Source{PeerTrusted: p.trusts(peer), ClientIP: peer, Scheme: "http"}
	if secure {
		s.Scheme = "https"
	}
	if s.PeerTrusted {
		s.ClientIP = p.clientIP(h, peer)
		if proto := first(h.Values("X-Forwarded-Proto")); strings.EqualFold(proto, "https") {
			s.Scheme = "https"
		} else if strings.EqualFold(proto, "http") {
			s.Scheme = "http"
		}
		if h := first(h.Values("X-Forwarded-Host")); h != "" {
			host = h
		}
	}
	s.Host = CanonicalHost(host, s.Scheme)
	return s
}

func (p *Policy) trusts(a netip.Addr) bool {
	for _, prefix := range p.Trusted {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// clientIP finds the client's address in the headers of a trusted peer.
func (p *Policy) clientIP(h wire.Header, peer netip.Addr) netip.Addr {
	// Two lines of a header that the proxy in front is meant to set can only
	// mean that one is not the proxy's.
	if p.ClientIPHeader != "" {
		value, ok := only(h.Values(p.ClientIPHeader))
		if p.ClientIPHeader == "Cloudfront-Viewer-Address" {
			// Always with a port; IPv6 comes without brackets.
			if i := strings.LastIndexByte(value, ':'); i >= 0 {
				value = value[:i]
			}
		}
		if a, parsed := ParseAddr(value); ok && parsed {
			return a
		}
	}
	// Each proxy appends the peer that it saw, so only what trusted proxies
	// appended can be believed: from the right, up to and including the first
	// address that is not one of theirs. What does not parse ends the walk.
	client := peer
	lines := h.Values("X-Forwarded-For")
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != ""; {
			entry := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				rest = ""
			}
			a, ok := ParseAddr(entry)
			if !ok {
				return client
			}
			client = a
			if !p.trusts(a) {
				return client
			}
		}
	}
	return client
}

// clientIPHeaders are the headers in which content delivery networks and load
// balancers give the client's address.
var clientIPHeaders = map[string]bool{
	"Cf-Connecting-Ip":          true,
	"Cf-Connecting-Ipv6":        true,
	"Cf-Pseudo-Ipv4":            true,
	"Client-Ip":                 true,
	"Cloudfront-Viewer-Address": true,
	"Fastly-Client-Ip":          true,
	"Fly-Client-Ip":             true,
	"True-Client-Ip":            true,
	"X-Client-Ip":               true,
	"X-Cluster-Client-Ip":       true,
	"X-Appengine-User-Ip":       true,
	"X-Azure-Clientip":          true,
	"X-Azure-Socketip":          true,
	"X-Envoy-External-Address":  true,
	"X-Original-Forwarded-For":  true,
	"X-Proxyuser-Ip":            true,
	"X-Real-Ip":                 true,
}

// Vouches reports whether the header, its name in canonical form, says where a
// request came from, so that only a trusted proxy may set it.
func (p *Policy) Vouches(name string) bool {
	switch {
	case strings.HasPrefix(name, "X-Forwarded-"), name == "Forwarded":
		return true
	case p.ClientIPHeader != "" && name == p.ClientIPHeader:
		return true
	default:
		return clientIPHeaders[name]
	}
}

// Plain is the canonical name of a header for what reads headers as CGI does and
// takes an underscore for a hyphen. Nobody who may vouch for something spells
// it like that, so such a spelling is a client's attempt.
func Plain(name string) string {
	if strings.IndexByte(name, '_') < 0 {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// PeerAddr is the address of the connection's other end, from a request's
// RemoteAddr; invalid if it cannot be told. A Unix socket has none; whoever can
// open it is on this machine, so it counts as loopback.
func PeerAddr(remoteAddr string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return canonical(ap.Addr())
	}
	if a, ok := ParseAddr(remoteAddr); ok {
		return a
	}
	if remoteAddr == "" || remoteAddr[0] == '@' || remoteAddr[0] == '/' {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.Addr{}
}

// ParseAddr reads an IP address as proxies write it: IPv4, or IPv6 with or
// without brackets, with or without a port or a zone.
func ParseAddr(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	var a netip.Addr
	var err error
	switch {
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		a, err = netip.ParseAddr(s[1 : len(s)-1])
		if err == nil && !a.Is6() {
			return netip.Addr{}, false
		}
	case strings.HasPrefix(s, "["), strings.Count(s, ":") == 1:
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		a = ap.Addr()
	default:
		a, err = netip.ParseAddr(s)
	}
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return canonical(a), true
}

func canonical(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// only is the value of a header that is there once.
func only(values []string) (value string, ok bool) {
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}

// first is the first element of a comma-separated header.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v, _, _ := strings.Cut(values[0], ",")
	return strings.Trim(v, " \t")
}
