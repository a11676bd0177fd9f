package forwarded

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// A Front is what stands in front of an application: whom it believes, and the
// hosts that it has. Together they tell the URL that a browser sees.
type Front struct {
	Policy
	Hosts HostSet
}

// NewFront makes a Front of a configuration's fields. Nil prefixes are
// [DefaultTrustedProxies]. It calls fail with the name of a field and what is
// wrong with it, for each that is not valid.
func NewFront(hosts []string, trusted []netip.Prefix, fail func(field, problem string)) Front {
	f := Front{Policy: Policy{Trusted: trusted}}
	if trusted == nil {
		f.Trusted = DefaultTrustedProxies()
	}
	var bad string
	var ok bool
	if f.Hosts, bad, ok = ParseHostSet(hosts); !ok {
		fail("Hosts", fmt.Sprintf("%q is not a host; write app.dev, app.dev:8443 or *.app.dev", bad))
	}
	for _, prefix := range trusted {
		if !prefix.IsValid() {
			fail("TrustedProxies", "holds an invalid prefix; make prefixes with netip.ParsePrefix")
		}
	}
	return f
}

// PublicURL is the URL of a request as the browser sees it, or nil when the
// request names no valid host, or one that is not among Hosts.
func (f *Front) PublicURL(r *http.Request) *url.URL {
	source := f.Source(r)
	if source.Host == "" || !f.Hosts.Accepts(source.Host, source.Scheme) {
		return nil
	}
	return source.PublicURL(r)
}

// PublicURL is the URL of a request that came from s. A mux that strips a prefix
// changes the request's URL, but not what the browser sent.
func (s Source) PublicURL(r *http.Request) *url.URL {
	public := *r.URL
	if sent, err := url.ParseRequestURI(r.RequestURI); err == nil && strings.HasPrefix(sent.Path, "/") {
		public = *sent
	}
	public.Scheme, public.Host, public.User, public.Opaque, public.Fragment = s.Scheme, s.Host, nil, "", ""
	if public.Path == "" {
		public.Path = "/"
	}
	return &public
}

// ParseProxyURL splits a proxy URL into its origin, empty for a mere path, and
// its path without trailing slashes. The problem, if any, says what to write
// instead.
func ParseProxyURL(s string) (origin, path, problem string) {
	const write = "; write a path such as /__clerk or a URL such as https://app.dev/__clerk"
	path = s
	if !strings.HasPrefix(s, "/") {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "":
			return "", "", "is neither a path that begins with a slash nor an absolute URL" + write
		case u.Scheme != "http" && u.Scheme != "https":
			return "", "", "is neither http nor https" + write
		case u.User != nil:
			return "", "", "has credentials in it" + write
		}
		host := CanonicalHost(u.Host, u.Scheme)
		if host == "" {
			return "", "", "has no valid host" + write
		}
		origin = u.Scheme + "://" + host
		_, path, _ = strings.Cut(s, "://")
		path = path[strings.IndexAny(path+"/", "/?#"):]
	}
	if strings.ContainsAny(path, "?#") {
		return "", "", "has a query or a fragment" + write
	}
	path = strings.TrimRight(path, "/")
	if path == "" {
		return "", "", "has no path of its own: the proxy would take every request of the application" + write
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if unescaped, err := url.PathUnescape(segment); err != nil || segment == "" || unescaped == "." || unescaped == ".." {
			return "", "", "has a path with an empty, a dot or a badly escaped segment" + write
		}
	}
	if strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"<>\^{|}`+"`", c) }) {
		return "", "", "has a path with characters that must be escaped" + write
	}
	return origin, path, ""
}

// APIURLProblem says why a URL is not one of an API of Clerk's, to which the
// secret key is sent, and what to write instead, such as the example; or nothing.
// It does not quote the URL, which may hold a password.
func APIURLProblem(s, example string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.ContainsAny(s, "?#"):
		return "is not an absolute http or https URL without credentials, query or fragment; write an origin such as " + example + ", or leave it out"
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return "is plain http to another machine, where the secret key would travel in the clear; write https"
	}
	return ""
}

// IsLoopback reports whether a host, without a port, is this machine: what is
// sent there does not cross a network.
func IsLoopback(host string) bool {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
