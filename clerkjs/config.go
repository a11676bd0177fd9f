package clerkjs

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// The versions of @clerk/clerk-js and @clerk/ui that are loaded by default: the
// newest of these major versions.
const (
	DefaultJSVersion = "6"
	DefaultUIVersion = "1"
)

// DefaultPolicy is the pages' own policy when there is no other.
const DefaultPolicy = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'self'"

// Config configures a [Provider]. With a Proxy, or with CLERK_PUBLISHABLE_KEY
// and CLERK_PROXY_URL in the environment, nothing else is required.
//
// The environment is read by [New] only, and only for fields that are empty.
// The names of the publishable key, the proxy URL and the sign-in and sign-up
// URLs work with the prefix NEXT_PUBLIC_ too; the name without goes first.
type Config struct {
	// Proxy is the proxy for the Frontend API that the application runs. It
	// provides the publishable key, the trusted proxies, the accepted hosts
	// and, for each request by its public origin, the proxy URL. Nil: the
	// fields below say these things.
	Proxy *clerkproxy.Proxy

	// PublishableKey is the instance's publishable key, pk_live_… or pk_test_…
	// Default: Proxy's, or CLERK_PUBLISHABLE_KEY. Required.
	PublishableKey string

	// ProxyURL is where browsers find a proxy for the Frontend API that is not
	// Proxy: a path, such as /__clerk, on the page's origin, or an absolute
	// URL. Trailing slashes mean nothing. It does nothing with the keys of a
	// development instance, which Clerk does not proxy. Default:
	// CLERK_PROXY_URL. Empty: ClerkJS talks to the Frontend API itself. Not
	// with Proxy.
	ProxyURL string

	// IsSatellite says that this is a satellite domain of a primary domain
	// where people sign in. It needs a proxy, by Proxy or ProxyURL, or Domain,
	// and not both; and with the keys of a development instance SignInURL.
	// Default: CLERK_IS_SATELLITE.
	IsSatellite bool

	// Domain is the satellite's domain, whose Frontend API is at clerk.<domain>.
	// Default: CLERK_DOMAIN. It means nothing on a primary domain.
	Domain string

	// SatelliteAutoSync sends a person who comes to a satellite for the first
	// time through the primary domain, to learn whether they are signed in
	// there. False: only one who comes back from signing in.
	SatelliteAutoSync bool

	// SignInURL and SignUpURL are the pages for it: a path of this application
	// or an absolute URL. For a satellite they are absolute, and on the primary
	// domain. Default: CLERK_SIGN_IN_URL and CLERK_SIGN_UP_URL, or the pages of
	// Clerk's account portal. A SignInURL without a SignUpURL is for both.
	SignInURL, SignUpURL string

	// AllowedRedirectOrigins are the origins besides the page's own, such as
	// https://satellite.dev, that people may be sent to once they have signed
	// in or up. ClerkJS is told of them too. Empty: links lead back to the
	// page's own origin only, and ClerkJS allows the domain and those below.
	AllowedRedirectOrigins []string

	// JSVersion and UIVersion are the versions of @clerk/clerk-js and
	// @clerk/ui: a major version, an exact one or a tag of npm's. Default:
	// [DefaultJSVersion] and [DefaultUIVersion].
	JSVersion, UIVersion string

	// LoadOptions are more options for Clerk.load, such as appearance,
	// localization and signInFallbackRedirectUrl; see
	// https://clerk.com/docs/reference/objects/clerk#load. They are encoded as
	// JSON and public.
	LoadOptions map[string]any

	// ContentSecurityPolicy is the pages' own policy, which
	// [Provider.Middleware] adds to. Default: [DefaultPolicy], unless there is
	// a policy on the answer when it comes to the middleware.
	ContentSecurityPolicy string

	// Features are what the pages use of Clerk that comes from other origins
	// than the Frontend API's; the policy allows their origins. Nil: Images and
	// BotProtection, and with the keys of a development instance Telemetry.
	// Empty but not nil: none, for pages that stay on their own origin.
	Features []Feature

	// Nonce is the nonce of a request's answer, for pages that have nonces of
	// their own. Nil: that of [Provider.Middleware].
	Nonce func(*http.Request) string

	// Hosts are the public hosts that are accepted: app.dev, app.dev:8443 or
	// *.app.dev. Links from others carry no way back, so that nobody can invent
	// one. Empty: every host. Not with Proxy, whose own count.
	Hosts []string

	// TrustedProxies are the address ranges of the proxies in front, whose
	// X-Forwarded-Host and -Proto are believed. Nil: the loopback, private,
	// link-local and unique-local ranges. Empty but not nil: nobody. Not with
	// Proxy, whose own count.
	TrustedProxies []netip.Prefix

	// Logger receives what an operator should know. Nil: [slog.Default].
	Logger *slog.Logger
}

// New checks the configuration and returns a Provider. Its error joins a
// [*clerkproxy.ConfigError] for every problem there is, so that none is left for
// the first page to find. New does not use the network.
func New(c Config) (*Provider, error) {
	var e problems
	p := &Provider{proxy: c.Proxy, autoSync: c.SatelliteAutoSync, nonce: c.Nonce}
	c.readKey(p, &e)
	c.readOrigins(p, &e)
	c.readProxyURL(p, &e)
	c.readSatellite(p, &e)
	c.readPages(p, &e)
	c.readVersions(p, &e)
	c.readPolicy(p, &e)
	c.readLoadOptions(p, &e)
	if len(e) > 0 {
		return nil, errors.Join(e...)
	}
	if !p.instance.Live && p.proxyURL != "" {
		p.proxyURL = ""
		cmp.Or(c.Logger, slog.Default()).Warn("the proxy URL is not used for ClerkJS: Clerk proxies production instances only, and this is the key of a development instance (pk_test_)")
	}
	return p, nil
}

type problems []error

func (e *problems) add(field, variable, format string, args ...any) {
	*e = append(*e, &clerkproxy.ConfigError{Field: field, Variable: variable, Problem: fmt.Sprintf(format, args...)})
}

func (c *Config) readKey(p *Provider, e *problems) {
	key := c.PublishableKey
	if c.Proxy != nil {
		own, _ := c.Proxy.Keys()
		if key != "" && key != own {
			e.add("PublishableKey", "", "is not that of the Proxy; leave it out")
		}
		key = own
	}
	p.instance, _ = instance.ReadPublishableKey(key, func(field, variable, problem string) { e.add(field, variable, "%s", problem) })
	p.frontendAPI = "https://" + p.instance.FrontendAPI
}

// readOrigins reads whose word is taken for the public origin.
func (c *Config) readOrigins(p *Provider, e *problems) {
	if c.Proxy != nil {
		if c.Hosts != nil {
			e.add("Hosts", "", "is the Proxy's to say; set it in clerkproxy.Config")
		}
		if c.TrustedProxies != nil {
			e.add("TrustedProxies", "", "is the Proxy's to say; set it in clerkproxy.Config")
		}
		return
	}
	p.front = forwarded.NewFront(c.Hosts, c.TrustedProxies, func(field, problem string) { e.add(field, "", "%s", problem) })
}

func (c *Config) readProxyURL(p *Provider, e *problems) {
	if c.Proxy != nil {
		if c.ProxyURL != "" {
			e.add("ProxyURL", "", "is the Proxy's to say; set it in clerkproxy.Config")
		}
		return
	}
	path := cmp.Or(c.ProxyURL, instance.PublicEnv("CLERK_PROXY_URL"))
	if path == "" {
		return
	}
	origin, path, problem := forwarded.ParseProxyURL(path)
	if problem != "" {
		e.add("ProxyURL", "CLERK_PROXY_URL", "%s", problem)
	}
	p.proxyURL = origin + path
}

func (c *Config) readSatellite(p *Provider, e *problems) {
	p.satellite = c.IsSatellite
	if !c.IsSatellite {
		switch v := os.Getenv("CLERK_IS_SATELLITE"); strings.ToLower(v) {
		case "", "false", "0":
		case "true", "1":
			p.satellite = true
		default:
			e.add("IsSatellite", "CLERK_IS_SATELLITE", "%q is neither true nor false", v)
		}
	}
	if !p.satellite {
		if c.Domain != "" {
			e.add("Domain", "", "is for a satellite; set IsSatellite too, or leave it out")
		}
		return
	}
	domain := cmp.Or(c.Domain, os.Getenv("CLERK_DOMAIN"))
	hasProxy := c.Proxy != nil || p.proxyURL != ""
	switch {
	case domain == "" && !hasProxy:
		e.add("Domain", "CLERK_DOMAIN", "is missing: a satellite needs a Domain, or else a Proxy or ProxyURL")
	case domain != "" && hasProxy:
		e.add("Domain", "CLERK_DOMAIN", "is set together with a proxy: a satellite has one or the other; leave out the domain to use the proxy")
	case domain != "" && forwarded.CanonicalHost(domain, "") == "":
		e.add("Domain", "CLERK_DOMAIN", "%q is not a domain; write satellite.dev", domain)
	case domain != "":
		p.domain = forwarded.CanonicalHost(domain, "")
		if !isDevelopmentHost(p.instance.FrontendAPI) {
			p.frontendAPI = "https://" + clerkHost(p.domain)
		}
	}
}

// readPages reads where people sign in and up.
func (c *Config) readPages(p *Provider, e *problems) {
	read := func(field, configured, variable string) *url.URL {
		s := cmp.Or(configured, instance.PublicEnv(variable))
		if s == "" {
			return nil
		}
		u, err := url.Parse(s)
		absolute := err == nil && originOf(u) != ""
		// Browsers take a backslash for a slash, and two slashes for a host.
		path := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/") && !strings.Contains(s, `\`)
		switch {
		case !absolute && !path:
			e.add(field, variable, "is neither a path that begins with a slash nor an absolute URL; write /sign-in or https://app.dev/sign-in")
			return nil
		case p.satellite && !absolute:
			e.add(field, variable, "must be absolute for a satellite: a page of the primary domain, where people sign in")
		}
		return u
	}
	before := len(*e)
	p.signIn = read("SignInURL", c.SignInURL, "CLERK_SIGN_IN_URL")
	p.signUp = read("SignUpURL", c.SignUpURL, "CLERK_SIGN_UP_URL")
	if p.satellite && !p.instance.Live && p.signIn == nil && len(*e) == before {
		e.add("SignInURL", "CLERK_SIGN_IN_URL", "is missing: a satellite of a development instance needs the sign-in page of the primary domain")
	}
	for _, s := range c.AllowedRedirectOrigins {
		u, err := url.Parse(s)
		if err != nil || originOf(u) == "" || strings.TrimRight(s, "/") != u.Scheme+"://"+u.Host {
			e.add("AllowedRedirectOrigins", "", "%q is not an origin; write https://satellite.dev", s)
			continue
		}
		p.allowed = append(p.allowed, originOf(u))
	}
}

var version = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+-]*$`)

func (c *Config) readVersions(p *Provider, e *problems) {
	p.jsVersion = cmp.Or(c.JSVersion, DefaultJSVersion)
	p.uiVersion = cmp.Or(c.UIVersion, DefaultUIVersion)
	const write = "%q is not a version; write 6, 6.40.0 or a tag such as canary"
	if !version.MatchString(p.jsVersion) {
		e.add("JSVersion", "", write, c.JSVersion)
	}
	if !version.MatchString(p.uiVersion) {
		e.add("UIVersion", "", write, c.UIVersion)
	}
}

func (c *Config) readPolicy(p *Provider, e *problems) {
	p.ownPolicy = c.ContentSecurityPolicy
	for _, problem := range lint(p.ownPolicy) {
		e.add("ContentSecurityPolicy", "", "%s", problem)
	}
	p.features = c.Features
	if c.Features == nil {
		p.features = []Feature{Images, BotProtection}
		if !p.instance.Live {
			p.features = append(p.features, Telemetry)
		}
	}
	for _, f := range p.features {
		if _, known := origins[f]; !known {
			e.add("Features", "", "%q is none; use the constants of type Feature", string(f))
		}
	}
}

// readLoadOptions makes the inline script, which is the same for every request,
// so that a policy can allow it by its hash.
func (c *Config) readLoadOptions(p *Provider, e *problems) {
	options := map[string]any{}
	set := func(name string, present bool, value any) {
		if _, taken := c.LoadOptions[name]; taken {
			e.add("LoadOptions", "", "holds %s, which is the Provider's to say; there is a field for it, or it is none of the page's business", name)
		}
		if present {
			options[name] = value
		}
	}
	for name, value := range c.LoadOptions {
		options[name] = value
	}
	set("ui", false, nil)
	set("nonce", false, nil)
	set("isSatellite", p.satellite, true)
	set("satelliteAutoSync", p.satellite && c.SatelliteAutoSync, true)
	set("signInUrl", p.signIn != nil, text(p.signIn))
	set("signUpUrl", p.signUp != nil, text(p.signUp))
	set("allowedRedirectOrigins", len(p.allowed) > 0, p.allowed)

	// JSON is made for pages: what could end the element, and the line
	// separators of old JavaScript, are escaped in it.
	encoded, err := json.Marshal(options)
	if err != nil {
		e.add("LoadOptions", "", "cannot be encoded as JSON: %v", err)
	}
	p.bootstrap = strings.TrimSpace(bootstrap) + "(" + string(encoded) + ");"
	sum := sha256.Sum256([]byte(p.bootstrap))
	p.hash = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func text(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}
