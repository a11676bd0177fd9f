package clerkjs

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// A Provider provides pages with ClerkJS. It is safe for concurrent use. Make
// one with [New].
type Provider struct {
	proxy       *clerkproxy.Proxy
	instance    instance.Instance
	proxyURL    string // without a Proxy; empty: none
	domain      string
	frontendAPI string // origin, where there is no proxy

	front forwarded.Front // without a proxy

	satellite, autoSync bool
	signIn, signUp      *url.URL // nil: Clerk's account portal
	allowed             []string // origins

	jsVersion, uiVersion string
	bootstrap            string // the inline script
	hash                 string // of it, as a source

	ownPolicy string // empty: none is configured
	features  []Feature
	nonce     func(*http.Request) string
}

// proxyURLFor is the proxy URL that a page's ClerkJS is told, without a trailing
// slash, or empty.
func (p *Provider) proxyURLFor(r *http.Request) string {
	if p.proxy != nil {
		return p.proxy.ProxyURL(r)
	}
	return p.proxyURL
}

// base is what stands in front of the Frontend API's paths: a proxy URL or an
// origin.
func (p *Provider) base(r *http.Request) string {
	if proxyURL := p.proxyURLFor(r); proxyURL != "" {
		return proxyURL
	}
	return p.frontendAPI
}

// publicURL is the request's URL as the browser has it, or nil when the request
// names no host that is accepted.
func (p *Provider) publicURL(r *http.Request) *url.URL {
	if p.proxy != nil {
		return p.proxy.PublicURL(r)
	}
	return p.front.PublicURL(r)
}

// originOf is the origin of an absolute URL, RFC 6454 §4, or empty for what is
// not one, or has credentials in it.
func originOf(u *url.URL) string {
	if u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" {
		return ""
	}
	host := forwarded.CanonicalHost(u.Host, u.Scheme)
	if host == "" {
		return ""
	}
	return u.Scheme + "://" + host
}

// developmentHosts are the ends of Frontend API hosts that have no satellite
// beside them: those of development and staging instances.
var developmentHosts = []string{
	".lcl.dev", ".stg.dev", ".lclstage.dev", ".stgstage.dev", ".dev.lclclerk.com",
	".stg.lclclerk.com", ".accounts.lclclerk.com", "accountsstage.dev", "accounts.dev",
}

func isDevelopmentHost(host string) bool {
	for _, end := range developmentHosts {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return false
}

// clerkHost is the host of the Frontend API for a satellite's domain. The domain
// may be written with the clerk. in front, and may itself begin with it:
// clerk.dev is a domain like any other.
func clerkHost(domain string) string {
	for {
		rest, ok := strings.CutPrefix(domain, "clerk.")
		if !ok || !strings.Contains(rest, ".") {
			return "clerk." + domain
		}
		domain = rest
	}
}

type nonceKey struct{}

// Middleware gives each request a nonce, and its answer the header
// Content-Security-Policy. It goes inside the proxy's own middleware, around
// what renders pages. Policies that are on the answer already stay, each with
// what ClerkJS needs; a handler can still replace the header.
func (p *Provider) Middleware(next http.Handler) http.Handler {
	const header = "Content-Security-Policy"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.nonce == nil {
			r = r.WithContext(context.WithValue(r.Context(), nonceKey{}, rand.Text()))
		}
		h := w.Header()
		own := slices.Clip(h.Values(header))
		if p.ownPolicy != "" {
			own = append(own, p.ownPolicy)
		} else if len(own) == 0 {
			own = []string{DefaultPolicy}
		}
		merged := make([]string, len(own))
		for i, policy := range own {
			merged[i] = p.ContentSecurityPolicy(r, policy)
		}
		h[header] = merged
		next.ServeHTTP(w, r)
	})
}

// validNonce is the base64-value of CSP Level 3 §2.3.1: anything else could be
// read as more than a nonce.
var validNonce = regexp.MustCompile(`^[A-Za-z0-9+/_-]+={0,2}$`)

// Nonce is the nonce of a request's answer, for scripts of the page's own. It is
// empty where there is none.
func (p *Provider) Nonce(r *http.Request) string {
	nonce, _ := r.Context().Value(nonceKey{}).(string)
	if p.nonce != nil {
		nonce = p.nonce(r)
	}
	if !validNonce.MatchString(nonce) {
		return ""
	}
	return nonce
}
