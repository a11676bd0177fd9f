package clerkproxy

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/assets"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// A Proxy forwards requests under its path to Clerk's Frontend API. It is safe
// for concurrent use. Make one with [New].
type Proxy struct {
	inst      instance.Instance
	secretKey atomic.Pointer[string]
	fixed     string // the absolute proxy URL; empty: on each request's own origin
	path      string
	target    target
	enabled   func(*url.URL) bool
	front     forwarded.Front
	transport http.RoundTripper
	conns     http.RoundTripper   // what transport ends in
	lane      *upstream.Transport // for plain exchanges; nil: they are forwarded like all others
	assets    *assets.Cache       // nil without a cache
	idle      time.Duration
	log       *slog.Logger
	counts    counts
}

// Path is the path under which the proxy answers, without a trailing slash.
func (p *Proxy) Path() string { return p.path }

// Keys returns the publishable and the secret key that the proxy was configured
// with, so that what works beside it needs no configuration of its own. The
// secret key is a secret: do not log it.
func (p *Proxy) Keys() (publishable, secret string) {
	return p.inst.PublishableKey, *p.secretKey.Load()
}

// SetSecretKey replaces the secret key, for one that was rotated, and leaves
// connections and cache as they are. Requests under way go on with the former
// one. It must be of the same instance; the error is a [*ConfigError].
func (p *Proxy) SetSecretKey(key string) error {
	live, err := instance.ParseSecretKey(key)
	if err == nil && live != p.inst.Live {
		err = instance.ErrMismatch
	}
	if err != nil {
		return &ConfigError{Field: "SecretKey", Problem: err.Error()}
	}
	p.secretKey.Store(&key)
	return nil
}

// CloseIdleConnections closes the connections to the Frontend API that carry no
// request, also those of Config.Transport if it can. It is for a Proxy that is
// used no longer; call it again once the last request is done.
func (p *Proxy) CloseIdleConnections() {
	if t, ok := p.conns.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// PublicURL is the URL of a request as the browser sees it: with the scheme and
// host that trusted proxies report, or else the request's own. It is nil when
// the request names no valid host, or one that Config.Hosts does not accept. The
// path is what the browser sent, also where a mux has stripped a prefix from it.
func (p *Proxy) PublicURL(r *http.Request) *url.URL { return p.front.PublicURL(r) }

// ProxyURL is the absolute URL under which browsers find the proxy on the
// request's own origin, without a trailing slash, such as
// https://app.dev/__clerk. It is empty where the proxy is not used: for a
// development instance, where Config.Enabled says no, and where
// [Proxy.PublicURL] is nil. The request can be any, not only one of Clerk's.
func (p *Proxy) ProxyURL(r *http.Request) string {
	if !p.inst.Live {
		return ""
	}
	public := p.PublicURL(r)
	if public == nil || p.enabled != nil && !p.enabled(public) {
		return ""
	}
	return p.proxyURL(public.Scheme, public.Host)
}

// Middleware answers the requests that are Clerk's and passes on all others:
// those that are not under the proxy's path, those for which Config.Enabled
// says no, and, for a development instance, all.
func (p *Proxy) Middleware(next http.Handler) http.Handler { return &middleware{p, next} }

type middleware struct {
	proxy *Proxy
	next  http.Handler
}

func (m *middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, err := m.proxy.match(r)
	switch err {
	case nil:
		m.proxy.forward(w, r, x, m.proxy.transport.RoundTrip)
	case errPathMismatch, errNotEnabled, errDevelopment:
		m.next.ServeHTTP(w, r)
	default:
		m.proxy.counts.errors.of(err).Add(1)
		err.refuse(w, r)
	}
}

// ServeHTTP forwards a request that is under the proxy's path. It answers 400
// proxy_path_mismatch to any other, so that a proxy mounted at the wrong place
// is noticed.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, err := p.match(r)
	if err != nil {
		p.counts.errors.of(err).Add(1)
		err.refuse(w, r)
		return
	}
	p.forward(w, r, x, p.transport.RoundTrip)
}

// match decides whether a request is forwarded, and to what.
func (p *Proxy) match(r *http.Request) (exchange, *proxyError) {
	rest, ok := p.below(upstream.SentPath(r.URL))
	if !ok {
		return exchange{}, errPathMismatch
	}
	if !p.inst.Live {
		return exchange{}, errDevelopment
	}
	x := exchange{source: p.front.Source(r), rest: rest}
	if x.source.Host == "" {
		return exchange{}, errInvalidHost
	}
	if p.enabled != nil && !p.enabled(x.source.PublicURL(r)) {
		return exchange{}, errNotEnabled
	}
	if !p.front.Hosts.Accepts(x.source.Host, x.source.Scheme) {
		return exchange{}, errHostNotAccepted
	}
	if strings.Contains(rest, "#") || strings.Contains(r.URL.RawQuery, "#") {
		return exchange{}, errTarget // wire.IsTarget says why
	}
	// The answer to TRACE is the request itself, with the secret key in it.
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		return exchange{}, errMethod
	}
	x.proxyURL = p.proxyURL(x.source.Scheme, x.source.Host)
	return x, nil
}

// below returns what follows the proxy's own path, if an escaped path is below
// it.
func (p *Proxy) below(path string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, p.path)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// proxyURL is what Clerk is told of where a request came in.
func (p *Proxy) proxyURL(scheme, host string) string {
	if p.fixed != "" {
		return p.fixed
	}
	return scheme + "://" + host + p.path
}

// An exchange is what the proxy knows of a request that it forwards.
type exchange struct {
	source   forwarded.Source
	proxyURL string // public, without a trailing slash
	rest     string // of the escaped path, after the proxy's own
}
