package clerkproxy

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// DefaultPath is the path of the proxy when nothing else is configured.
const DefaultPath = "/__clerk"

// Config configures a [Proxy]. The zero Config works when the environment holds
// CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY.
//
// The environment is read by [New] only, and only for fields that are empty.
// NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY and NEXT_PUBLIC_CLERK_PROXY_URL work too;
// the name without the prefix goes first.
//
// For every duration, zero means the default and a negative value no limit.
type Config struct {
	// PublishableKey is the instance's publishable key, pk_live_…
	// Default: CLERK_PUBLISHABLE_KEY. Required.
	//
	// With the key of a development instance (pk_test_…) the proxy is off:
	// Clerk proxies production instances only. [Proxy.Middleware] then passes
	// everything on, and one warning is logged.
	PublishableKey string

	// SecretKey is the instance's secret key, sk_live_… It is sent to the
	// Frontend API, and nowhere else. Default: CLERK_SECRET_KEY. Required.
	SecretKey string

	// ProxyURL is where browsers find the proxy: a path, such as /__clerk, or
	// an absolute URL, such as https://app.dev/__clerk. Trailing slashes mean
	// nothing. With a path, the origin is that of each request. With an
	// absolute URL, Clerk is told that URL whatever the request's own origin
	// is. Default: CLERK_PROXY_URL, or else [DefaultPath].
	ProxyURL string

	// FrontendAPIURL is what requests are forwarded to. It is http or https,
	// without credentials, query or fragment; http to loopback only, as the
	// secret key would travel in the clear. Default: CLERK_FAPI_URL, or else
	// the Frontend API of the instance that PublishableKey names, in practice
	// https://frontend-api.clerk.dev.
	FrontendAPIURL string

	// Enabled decides by the public URL of a request whether it is proxied,
	// for applications with several domains of which not all use the proxy.
	// It is asked only about requests under the proxy's path. Nil: always.
	Enabled func(*url.URL) bool

	// Hosts are the public hosts that are accepted, so that nobody's invented
	// Host header reaches Clerk as part of a proxy URL: app.dev, app.dev:8443
	// or *.app.dev for every name below app.dev. A host without a port accepts
	// every port. Requests for others are answered with 421. Empty: every host.
	Hosts []string

	// TrustedProxies are the address ranges of the proxies in front, whose
	// X-Forwarded-For, -Host and -Proto are believed. Nil: the loopback,
	// private, link-local and unique-local ranges. Empty but not nil: nobody.
	TrustedProxies []netip.Prefix

	// ClientIPHeader is the header in which the proxy in front gives the
	// client's address: CF-Connecting-IP, True-Client-IP, Fly-Client-IP,
	// X-Real-IP, CloudFront-Viewer-Address or another. It is read from trusted
	// proxies only. Name it only if that proxy sets it on every request;
	// otherwise clients choose it. Empty: X-Forwarded-For is walked from the
	// right past trusted proxies.
	ClientIPHeader string

	// RootCAs are the authorities that the Frontend API's certificate is
	// verified with. Nil: the system's.
	RootCAs *x509.CertPool

	// DialTimeout limits the name look-up and the TCP connection to the
	// Frontend API. Default: 10 s.
	DialTimeout time.Duration

	// TLSHandshakeTimeout limits the TLS handshake with the Frontend API.
	// Default: 10 s.
	TLSHandshakeTimeout time.Duration

	// ResponseHeaderTimeout limits the wait for the answer's headers once the
	// whole request has been sent. Default: 30 s.
	ResponseHeaderTimeout time.Duration

	// IdleTimeout is how long an exchange may stand still: no byte of the
	// request's body arriving and none of the answer's. Default: 2 min.
	IdleTimeout time.Duration

	// IdleConnTimeout is how long an unused connection to the Frontend API is
	// kept. Default: 90 s.
	IdleConnTimeout time.Duration

	// Transport makes the requests to the Frontend API. It must not follow
	// redirects or decompress. Nil: one of the proxy's own, made for a single
	// origin; only that one uses RootCAs and the timeouts for dialing, TLS,
	// response headers and idle connections, and honours HTTPS_PROXY.
	Transport http.RoundTripper

	// WrapTransport, if not nil, is given the transport that would be used, and
	// returns the one that is used instead: to measure, to trace.
	WrapTransport func(http.RoundTripper) http.RoundTripper

	// Logger receives what an operator should know. It is never given a key, a
	// cookie, a token or a query. Nil: [slog.Default].
	Logger *slog.Logger
}

// A ConfigError is one problem of a [Config]. [New] joins all that it finds;
// [errors.As] finds the first of them.
type ConfigError struct {
	// Field is the name of the field of Config.
	Field string
	// Variable is the environment variable that stands for the field, or
	// empty.
	Variable string
	// Problem says what is wrong and what to do. It holds no key.
	Problem string
}

func (e *ConfigError) Error() string {
	if e.Variable == "" {
		return "clerkproxy: " + e.Field + ": " + e.Problem
	}
	return "clerkproxy: " + e.Field + " (" + e.Variable + "): " + e.Problem
}

// New checks the configuration and returns a Proxy. Its error joins a
// [*ConfigError] for every problem there is, so that none is left for the first
// request to find. New does not use the network.
func New(c Config) (*Proxy, error) {
	var errs []error
	fail := func(field, variable, format string, args ...any) {
		errs = append(errs, &ConfigError{field, variable, fmt.Sprintf(format, args...)})
	}

	inst, live := c.keys(fail)
	p := &Proxy{
		inst:      inst,
		secretKey: []string{live},
		enabled:   c.Enabled,
		policy:    forwarded.Policy{Trusted: c.TrustedProxies},
		transport: c.Transport,
		idle:      upstream.Timeout(c.IdleTimeout, 2*time.Minute),
		log:       cmp.Or(c.Logger, slog.Default()),
	}

	proxyURL := cmp.Or(c.ProxyURL, os.Getenv("CLERK_PROXY_URL"), os.Getenv("NEXT_PUBLIC_CLERK_PROXY_URL"), DefaultPath)
	var problem string
	if p.origin, p.path, problem = parseProxyURL(proxyURL); problem != "" {
		fail("ProxyURL", "CLERK_PROXY_URL", "%s", problem)
	}

	fapi := cmp.Or(c.FrontendAPIURL, os.Getenv("CLERK_FAPI_URL"), inst.FrontendAPIURL())
	if p.target, problem = parseFrontendAPIURL(fapi); problem != "" {
		fail("FrontendAPIURL", "CLERK_FAPI_URL", "%s", problem)
	}

	var ok bool
	var bad string
	if p.hosts, bad, ok = forwarded.ParseHostSet(c.Hosts); !ok {
		fail("Hosts", "", "%q is not a host; write app.dev, app.dev:8443 or *.app.dev", bad)
	}
	if c.TrustedProxies == nil {
		p.policy.Trusted = forwarded.DefaultTrustedProxies()
	}
	for _, prefix := range c.TrustedProxies {
		if !prefix.IsValid() {
			fail("TrustedProxies", "", "holds an invalid prefix; make prefixes with netip.ParsePrefix")
		}
	}
	if c.ClientIPHeader != "" {
		p.policy.ClientIPHeader = textproto.CanonicalMIMEHeaderKey(c.ClientIPHeader)
		if !validHeaderName(c.ClientIPHeader) {
			fail("ClientIPHeader", "", "%q is not the name of a header; write one such as CF-Connecting-IP", c.ClientIPHeader)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	if p.transport == nil {
		p.transport = upstream.New(upstream.Origin{Scheme: p.target.scheme, Host: p.target.host}, c.upstream())
	}
	if c.WrapTransport != nil {
		p.transport = c.WrapTransport(p.transport)
	}
	if !inst.Live {
		p.log.Warn("the Clerk proxy is off: Clerk proxies production instances only, and this is the key of a development instance (pk_test_); use the production instance's keys, or leave out the proxy URL in development")
	}
	return p, nil
}

// keys returns the instance and its secret key.
func (c *Config) keys(fail func(field, variable, format string, args ...any)) (instance.Instance, string) {
	const from = "copy it from the Clerk Dashboard, page API keys"
	publishable := cmp.Or(c.PublishableKey, os.Getenv("CLERK_PUBLISHABLE_KEY"), os.Getenv("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"))
	secret := cmp.Or(c.SecretKey, os.Getenv("CLERK_SECRET_KEY"))

	inst, pubErr := instance.ParsePublishableKey(publishable)
	switch {
	case publishable == "":
		fail("PublishableKey", "CLERK_PUBLISHABLE_KEY", "is missing; %s", from)
	case pubErr != nil:
		fail("PublishableKey", "CLERK_PUBLISHABLE_KEY", "%v; %s", pubErr, from)
	}
	live, secErr := instance.ParseSecretKey(secret)
	switch {
	case secret == "":
		fail("SecretKey", "CLERK_SECRET_KEY", "is missing; %s", from)
	case secErr != nil:
		fail("SecretKey", "CLERK_SECRET_KEY", "%v; %s", secErr, from)
	}
	if pubErr == nil && secErr == nil && live != inst.Live {
		fail("SecretKey", "CLERK_SECRET_KEY", "%v; copy both from the same instance in the Clerk Dashboard", instance.ErrMismatch)
	}
	return inst, secret
}

func (c *Config) upstream() upstream.Config {
	return upstream.Config{
		RootCAs:               c.RootCAs,
		DialTimeout:           c.DialTimeout,
		TLSHandshakeTimeout:   c.TLSHandshakeTimeout,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		IdleConnTimeout:       c.IdleConnTimeout,
	}
}

// parseProxyURL splits a proxy URL into its origin, empty for a mere path, and
// its path without trailing slashes.
func parseProxyURL(s string) (origin, path, problem string) {
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
		host := forwarded.CanonicalHost(u.Host, u.Scheme)
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

// target is the Frontend API: where requests go.
type target struct {
	scheme, host string
	// path precedes the rest of every request's path; it does not end in a
	// slash, and is empty for Clerk itself.
	path string
}

func parseFrontendAPIURL(s string) (t target, problem string) {
	const write = "; write an origin such as https://frontend-api.clerk.dev, or leave it out"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return t, "is not an absolute URL" + write
	case u.Scheme != "http" && u.Scheme != "https":
		return t, "is neither http nor https" + write
	case u.User != nil:
		return t, "has credentials in it" + write
	case strings.ContainsAny(s, "?#"):
		return t, "has a query or a fragment" + write
	}
	t = target{scheme: u.Scheme, host: forwarded.CanonicalHost(u.Host, u.Scheme), path: strings.TrimRight(u.EscapedPath(), "/")}
	if t.host == "" {
		return t, "has no valid host" + write
	}
	if t.scheme == "http" && !isLoopback(u.Hostname()) {
		return t, "is plain http to another machine, where the secret key would travel in the clear; write https"
	}
	return t, ""
}

func isLoopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func validHeaderName(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
