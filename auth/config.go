package auth

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// Config configures an [Authenticator]. With a Proxy, or with
// CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY in the environment, nothing else is
// required.
//
// The environment is read by [New] only, and only for fields that are empty.
// The names of the publishable key, the proxy URL and the sign-in and sign-up
// URLs work with the prefix NEXT_PUBLIC_ too; the name without goes first.
type Config struct {
	// Proxy is the proxy for the Frontend API that the application runs. It
	// provides the keys, the trusted proxies, the accepted hosts and, for each
	// request by its public origin, the proxy URL that handshakes go to. Nil:
	// the fields below say these things.
	Proxy *clerkproxy.Proxy

	// PublishableKey is the instance's publishable key, pk_live_… or pk_test_…
	// Default: Proxy's, or CLERK_PUBLISHABLE_KEY. Required.
	PublishableKey string

	// SecretKey is the instance's secret key, sk_live_… or sk_test_… It is sent
	// to the Backend API, and nowhere else. Default: Proxy's, or
	// CLERK_SECRET_KEY. Required.
	SecretKey string

	// JWTKey is the public key, in PEM, that the instance signs its tokens
	// with: from the Clerk Dashboard, page API keys. With it, tokens are
	// verified without the network; when Clerk's keys are rotated, it has to be
	// replaced. Default: CLERK_JWT_KEY. Empty: keys are loaded from the Backend
	// API.
	JWTKey string

	// BackendAPIURL is the origin of Clerk's Backend API; http to loopback
	// only, as the secret key would travel in the clear. Default:
	// CLERK_API_URL, or https://api.clerk.com.
	BackendAPIURL string

	// ProxyURL is where browsers find a proxy for the Frontend API that is not
	// Proxy: a path, such as /__clerk, on each request's own origin, or an
	// absolute URL. It does nothing with the keys of a development instance,
	// which Clerk does not proxy. Default: CLERK_PROXY_URL. Empty: handshakes
	// go to the Frontend API itself. Not with Proxy.
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
	// or an absolute URL, which on a satellite is the primary domain's.
	// Default: CLERK_SIGN_IN_URL and CLERK_SIGN_UP_URL, or the pages of Clerk's
	// account portal; for signing up, the path /create below SignInURL if that
	// is set, where Clerk's sign-in component has it.
	SignInURL, SignUpURL string

	// AllowedRedirectOrigins are the origins of satellites, such as
	// https://satellite.dev, that the primary domain of a development instance
	// sends browsers back to, with a token. Loopback is always allowed.
	// Production instances need none: Clerk knows their domains.
	AllowedRedirectOrigins []string

	// AuthorizedParties are the origins whose session tokens are accepted, by
	// the claim azp: https://app.dev. Set it when other people's applications
	// share your domain, as those can read each other's cookies. Empty: all.
	AuthorizedParties []string

	// Audiences are the accepted values of the claim aud. A token without that
	// claim, as Clerk makes them unless told otherwise, is accepted all the
	// same. Empty: all.
	Audiences []string

	// ClockSkew is how far this machine's clock may be from Clerk's. Default:
	// 5 s. Negative: not at all.
	ClockSkew time.Duration

	// OrganizationSync makes the organization in a page's URL the active one.
	// Zero: the URL does not matter.
	OrganizationSync OrganizationSync

	// CustomClaims makes a pointer to a value that a token's claims are decoded
	// into, for Claims.Custom of the Session. It is called once for each
	// verified token; requests that come with the token share the value. Nil:
	// none. [Session.Decode] does the same for a single handler.
	CustomClaims func() any

	// Hosts are the public hosts that are accepted: app.dev, app.dev:8443 or
	// *.app.dev. A request for another host is never redirected, so that nobody
	// can invent the place where a handshake ends. Empty: every host. Not with
	// Proxy, whose own count.
	Hosts []string

	// TrustedProxies are the address ranges of the proxies in front, whose
	// X-Forwarded-Host and -Proto are believed. Nil: the loopback, private,
	// link-local and unique-local ranges. Empty but not nil: nobody. Not with
	// Proxy, whose own count.
	TrustedProxies []netip.Prefix

	// OnDecision, if not nil, is called by [Authenticator.Middleware] with each
	// decision before it is carried out: to count, to log. Nil: nothing.
	OnDecision func(*http.Request, State)

	// Transport makes the requests to the Backend API. Nil:
	// [http.DefaultTransport].
	Transport http.RoundTripper

	// Timeout limits a request to the Backend API. Default: 5 s.
	Timeout time.Duration

	// Now is the clock. Nil: [time.Now].
	Now func() time.Time

	// Logger receives what an operator should know. It is never given a key, a
	// cookie or a token. Nil: [slog.Default].
	Logger *slog.Logger
}

// New checks the configuration and returns an Authenticator. Its error joins a
// [*clerkproxy.ConfigError] for every problem there is, so that none is left for
// the first request to find. New does not use the network.
func New(c Config) (*Authenticator, error) {
	p := problems{}
	a := &Authenticator{
		autoSync:          c.SatelliteAutoSync,
		authorizedParties: c.AuthorizedParties,
		audiences:         c.Audiences,
		skew:              max(cmp.Or(c.ClockSkew, 5*time.Second), 0),
		customClaims:      c.CustomClaims,
		onDecision:        c.OnDecision,
		now:               c.Now,
		log:               cmp.Or(c.Logger, slog.Default()),
	}
	if a.now == nil {
		a.now = time.Now
	}
	secret := c.readKeys(a, &p)
	c.readOrigins(a, &p)
	c.readProxyURL(a, &p)
	c.readSatellite(a, &p)
	c.readPages(a, &p)
	c.readOrganizations(a, &p)
	c.readBackend(a, &p, secret)
	if len(p) > 0 {
		return nil, errors.Join(p...)
	}
	if !a.instance.Live && (a.proxyPath != "" || a.proxyOrigin != "") {
		a.proxyPath, a.proxyOrigin = "", ""
		a.log.Warn("the proxy URL is not used for authentication: Clerk proxies production instances only, and this is the key of a development instance (pk_test_)")
	}
	return a, nil
}

type problems []error

func (p *problems) add(field, variable, format string, args ...any) {
	*p = append(*p, &clerkproxy.ConfigError{Field: field, Variable: variable, Problem: fmt.Sprintf(format, args...)})
}

// readKeys returns the secret key.
func (c *Config) readKeys(a *Authenticator, p *problems) string {
	publishable, secret := c.PublishableKey, c.SecretKey
	if c.Proxy != nil {
		ownPublishable, ownSecret := c.Proxy.Keys()
		if publishable != "" && publishable != ownPublishable {
			p.add("PublishableKey", "", "is not that of the Proxy; leave it out")
		}
		if secret != "" && secret != ownSecret {
			p.add("SecretKey", "", "is not that of the Proxy; leave it out")
		}
		publishable, secret = ownPublishable, ownSecret
	}
	a.instance, secret = instance.ReadKeys(publishable, secret, func(field, variable, problem string) { p.add(field, variable, "%s", problem) })
	a.suffix = a.instance.CookieSuffix()
	a.issuer = a.instance.FrontendAPI
	a.frontendAPI = "https://" + a.instance.FrontendAPI
	a.accounts = "https://" + accountPortal(a.instance.FrontendAPI)
	return secret
}

// accountPortal is the host of Clerk's account portal, which stands beside the
// Frontend API: accounts.app.dev for clerk.app.dev.
func accountPortal(frontendAPI string) string {
	host := strings.Replace(frontendAPI, "clerk.accountsstage.", "accountsstage.", 1)
	if at := strings.Index(host, "clerk."); at >= 0 {
		rest := strings.TrimPrefix(host[at+len("clerk."):], "accounts.")
		return host[:at] + "accounts." + rest
	}
	return host
}

// readOrigins reads whose word is taken for the public origin.
func (c *Config) readOrigins(a *Authenticator, p *problems) {
	a.proxy = c.Proxy
	if c.Proxy != nil {
		if c.Hosts != nil {
			p.add("Hosts", "", "is the Proxy's to say; set it in clerkproxy.Config")
		}
		if c.TrustedProxies != nil {
			p.add("TrustedProxies", "", "is the Proxy's to say; set it in clerkproxy.Config")
		}
		return
	}
	a.front = forwarded.NewFront(c.Hosts, c.TrustedProxies, func(field, problem string) { p.add(field, "", "%s", problem) })
}

func (c *Config) readProxyURL(a *Authenticator, p *problems) {
	if c.Proxy != nil {
		if c.ProxyURL != "" {
			p.add("ProxyURL", "", "is the Proxy's to say; set it in clerkproxy.Config")
		}
		return
	}
	proxyURL := cmp.Or(c.ProxyURL, instance.PublicEnv("CLERK_PROXY_URL"))
	if proxyURL == "" {
		return
	}
	var problem string
	if a.proxyOrigin, a.proxyPath, problem = forwarded.ParseProxyURL(proxyURL); problem != "" {
		p.add("ProxyURL", "CLERK_PROXY_URL", "%s", problem)
	}
}

func (c *Config) readSatellite(a *Authenticator, p *problems) {
	a.satellite = c.IsSatellite
	if !c.IsSatellite {
		switch v := os.Getenv("CLERK_IS_SATELLITE"); strings.ToLower(v) {
		case "", "false", "0":
		case "true", "1":
			a.satellite = true
		default:
			p.add("IsSatellite", "CLERK_IS_SATELLITE", "%q is neither true nor false", v)
		}
	}
	if !a.satellite {
		if c.Domain != "" {
			p.add("Domain", "", "is for a satellite; set IsSatellite too, or leave it out")
		}
		return
	}
	domain := cmp.Or(c.Domain, os.Getenv("CLERK_DOMAIN"))
	hasProxy := c.Proxy != nil || a.proxyPath != ""
	switch {
	case domain == "" && !hasProxy:
		p.add("Domain", "CLERK_DOMAIN", "is missing: a satellite needs a Domain, or else a Proxy or ProxyURL")
	case domain != "" && hasProxy:
		p.add("Domain", "CLERK_DOMAIN", "is set together with a proxy: a satellite has one or the other; leave out the domain to use the proxy")
	case domain != "" && forwarded.CanonicalHost(domain, "") == "":
		p.add("Domain", "CLERK_DOMAIN", "%q is not a domain; write satellite.dev", domain)
	case domain != "" && a.instance.Live:
		a.issuer = "clerk." + forwarded.CanonicalHost(domain, "")
		a.frontendAPI = "https://" + a.issuer
	}
}

// readPages reads where people sign in and up.
func (c *Config) readPages(a *Authenticator, p *problems) {
	page := func(field, configured, variable, standard string) string {
		s := cmp.Or(configured, instance.PublicEnv(variable))
		if s == "" {
			return a.accounts + standard
		}
		u, err := url.Parse(s)
		absolute := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
		path := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(s, "/")
		if !absolute && !path {
			p.add(field, variable, "is neither a path that begins with a slash nor an absolute URL; write /sign-in or https://app.dev/sign-in")
		}
		return s
	}
	configured := cmp.Or(c.SignInURL, instance.PublicEnv("CLERK_SIGN_IN_URL"))
	a.signIn = page("SignInURL", c.SignInURL, "CLERK_SIGN_IN_URL", "/sign-in")
	a.signUp = page("SignUpURL", c.SignUpURL, "CLERK_SIGN_UP_URL", "/sign-up")
	if configured != "" && cmp.Or(c.SignUpURL, instance.PublicEnv("CLERK_SIGN_UP_URL")) == "" {
		// Clerk's sign-in component signs up below its own path.
		a.signUp = below(configured, "/create")
	}
	switch relative := strings.HasPrefix(configured, "/"); {
	case a.satellite && relative:
		p.add("SignInURL", "CLERK_SIGN_IN_URL", "must be absolute for a satellite: the sign-in page of the primary domain")
	case a.satellite && !a.instance.Live && configured == "":
		p.add("SignInURL", "CLERK_SIGN_IN_URL", "is missing: a satellite of a development instance needs the sign-in page of the primary domain")
	}
	a.redirectsTo = make(map[string]bool)
	for _, s := range c.AllowedRedirectOrigins {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.TrimRight(s, "/") != u.Scheme+"://"+u.Host {
			p.add("AllowedRedirectOrigins", "", "%q is not an origin; write https://satellite.dev", s)
			continue
		}
		a.redirectsTo[origin(u)] = true
	}
}

// below is the page of that path below another page.
func below(page, path string) string {
	u, err := url.Parse(page)
	if err != nil {
		return page
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/")+path, ""
	return u.String()
}

func (c *Config) readOrganizations(a *Authenticator, p *problems) {
	compile := func(patterns []string) []pathPattern {
		var all []pathPattern
		for _, pattern := range patterns {
			compiled, err := compilePathPattern(pattern)
			if err != nil {
				p.add("OrganizationSync", "", "the pattern %q %v", pattern, err)
				continue
			}
			all = append(all, compiled)
		}
		return all
	}
	a.organizations.organization = compile(c.OrganizationSync.OrganizationPatterns)
	a.organizations.personal = compile(c.OrganizationSync.PersonalAccountPatterns)
	for _, pattern := range a.organizations.organization {
		if !slices.Contains(pattern.names, "slug") && !slices.Contains(pattern.names, "id") {
			p.add("OrganizationSync", "", "an organization pattern has neither :slug nor :id in it, so it names no organization")
			break
		}
	}
}

func (c *Config) readBackend(a *Authenticator, p *problems, secret string) {
	api := cmp.Or(c.BackendAPIURL, os.Getenv("CLERK_API_URL"), "https://api.clerk.com")
	if problem := forwarded.APIURLProblem(api, "https://api.clerk.com"); problem != "" {
		p.add("BackendAPIURL", "CLERK_API_URL", "%s", problem)
	}
	if c.Timeout < 0 {
		p.add("Timeout", "", "is negative; a request to the Backend API must end some time")
	}
	a.backend = backend{
		// Clerk's Go SDK has the version in the URL, other SDKs do not.
		url:       strings.TrimSuffix(strings.TrimRight(api, "/"), "/v1"),
		secretKey: func() string { return secret },
		timeout:   cmp.Or(c.Timeout, 5*time.Second),
		client: &http.Client{
			Transport: c.Transport,
			// The secret key goes where it was configured to go.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if c.Proxy != nil {
		a.backend.secretKey = func() string { _, secret := c.Proxy.Keys(); return secret } // it may be replaced
	}
	a.keys = keyStore{backend: &a.backend, now: a.now, log: a.log}
	if key := cmp.Or(c.JWTKey, os.Getenv("CLERK_JWT_KEY")); key != "" {
		var err error
		if a.keys.static, err = parseJWTKey(key); err != nil {
			p.add("JWTKey", "CLERK_JWT_KEY", "%v; copy the JWKS public key from the Clerk Dashboard, page API keys", err)
		}
	}
}

// parseJWTKey reads an RSA public key in PEM. Line breaks may have become \n in
// an environment variable, and the first and last line may be missing.
func parseJWTKey(s string) (*rsa.PublicKey, error) {
	s = strings.TrimSpace(strings.ReplaceAll(s, `\n`, "\n"))
	var der []byte
	if block, _ := pem.Decode([]byte(s)); block != nil {
		der = block.Bytes
	} else {
		s = strings.TrimPrefix(s, "-----BEGIN PUBLIC KEY-----")
		s = strings.TrimSuffix(s, "-----END PUBLIC KEY-----")
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), "")); err != nil {
			return nil, errors.New("is not a public key in PEM")
		}
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok || !acceptable(key) {
		return nil, errors.New("is not an RSA public key of 2048 bits or more in PEM")
	}
	return key, nil
}
