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

	"github.com/clerkproxy/clerkproxy/internal/assets"
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

	// AssetCache is how many bytes of memory may be used to keep Clerk's own
	// scripts, the answers under /npm/ that are public and say how long they
	// last (RFC 9111). Nothing else is ever kept. The header Cache-Status
	// (RFC 9211) tells what came from memory. Zero: nothing is kept.
	AssetCache int64

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
	fail := func(field, variable, problem string) {
		errs = append(errs, &ConfigError{field, variable, problem})
	}

	inst, secret := instance.ReadKeys(c.PublishableKey, c.SecretKey, fail)
	p := &Proxy{
		inst:      inst,
		enabled:   c.Enabled,
		front:     forwarded.NewFront(c.Hosts, c.TrustedProxies, func(field, problem string) { fail(field, "", problem) }),
		transport: c.Transport,
		idle:      upstream.Timeout(c.IdleTimeout, 2*time.Minute),
		log:       cmp.Or(c.Logger, slog.Default()),
	}
	p.secretKey.Store(&secret)

	var problem string
	var origin string
	if origin, p.path, problem = forwarded.ParseProxyURL(cmp.Or(c.ProxyURL, instance.PublicEnv("CLERK_PROXY_URL"), DefaultPath)); problem != "" {
		fail("ProxyURL", "CLERK_PROXY_URL", problem)
	}
	if origin != "" {
		p.fixed = origin + p.path
	}
	if p.target, problem = parseFrontendAPIURL(cmp.Or(c.FrontendAPIURL, os.Getenv("CLERK_FAPI_URL"), inst.FrontendAPIURL())); problem != "" {
		fail("FrontendAPIURL", "CLERK_FAPI_URL", problem)
	}
	if c.ClientIPHeader != "" {
		p.front.ClientIPHeader = textproto.CanonicalMIMEHeaderKey(c.ClientIPHeader)
		if !validHeaderName(c.ClientIPHeader) {
			fail("ClientIPHeader", "", fmt.Sprintf("%q is not the name of a header; write one such as CF-Connecting-IP", c.ClientIPHeader))
		}
	}
	if c.AssetCache < 0 {
		fail("AssetCache", "", "is negative; write a number of bytes, such as 64 << 20, or 0 for none")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	if p.transport == nil {
		own := upstream.New(upstream.Origin{Scheme: p.target.scheme, Host: p.target.host}, c.upstream())
		p.transport = own
		if c.WrapTransport == nil {
			p.lane = own
		}
	}
	p.conns = p.transport
	if c.AssetCache > 0 {
		p.assets = assets.New(p.transport, assets.Config{MaxBytes: c.AssetCache, BasePath: p.target.path})
		p.transport = p.assets
	}
	if c.WrapTransport != nil {
		p.transport = c.WrapTransport(p.transport)
	}
	if !inst.Live {
		p.log.Warn("the Clerk proxy is off: Clerk proxies production instances only, and this is the key of a development instance (pk_test_); use the production instance's keys, or leave out the proxy URL in development")
	}
	return p, nil
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
	if t.scheme == "http" && !forwarded.IsLoopback(u.Hostname()) {
		return t, "is plain http to another machine, where the secret key would travel in the clear; write https"
	}
	return t, ""
}

func validHeaderName(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}
