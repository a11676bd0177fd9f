package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A Site is an application on hosts of its own, with the Clerk proxy in front of
// it.
type Site struct {
	// Name tells the site from others in logs and metrics. Default: the first
	// of Hosts, or "default".
	Name string

	// Hosts are the public hosts of the site, as in [clerkproxy.Config]. No two
	// sites have the same; of a name and a domain that it is below, the name
	// goes first. None: the site takes every host that no other site has.
	Hosts []string

	// Proxy configures the Clerk proxy. Its Hosts are the site's unless it has
	// its own. Its TrustedProxies and ClientIPHeader are those of [Config]; leave
	// them out. If its Logger is nil, it gets that of Config. Its RootCAs are
	// for the Backend API too.
	Proxy clerkproxy.Config

	// App answers everything that is not Clerk's. Nil: AppFor's, or the
	// application at AppURL.
	App http.Handler

	// AppFor makes App, for one that has to know the proxy in front of it, such
	// as one that authenticates with package auth. [New] returns its error.
	// Nil: App or AppURL.
	AppFor func(*clerkproxy.Proxy) (http.Handler, error)

	// AppURL is the application to which everything goes that is not Clerk's:
	// http or https, without credentials, query or fragment. Nil, and App and
	// AppFor nil too: 404.
	AppURL *url.URL

	// AppTimeout limits the wait for the headers of the answer of AppURL.
	// Default: [DefaultAppTimeout]. Negative: no limit.
	AppTimeout time.Duration

	// Authentication, if not nil, finds out who is signed in before a request
	// goes to the application, and tells the application.
	Authentication *Authentication
}

// A SiteError is one problem of one of Config.Sites.
type SiteError struct {
	// Site is the index in Config.Sites.
	Site int
	// Err is most often a [*clerkproxy.ConfigError]. The fields that it names
	// are those of [Site] and of its Proxy.
	Err error
}

func (e *SiteError) Error() string { return fmt.Sprintf("site %d: %v", e.Site, e.Err) }

// Unwrap returns Err.
func (e *SiteError) Unwrap() error { return e.Err }

// NameOrDefault is Name, or what stands for it.
func (c *Site) NameOrDefault() string {
	switch {
	case c.Name != "":
		return c.Name
	case len(c.Hosts) > 0:
		return c.Hosts[0]
	}
	return "default"
}

// site is a Site that is served.
type site struct {
	name     string
	config   Site
	policy   forwarded.Policy
	proxy    *clerkproxy.Proxy
	assets   string // what the paths of Clerk's scripts begin with
	handler  http.Handler
	plain    wire.Handler // what the handler does, for plain exchanges; nil: nothing
	inFlight inFlight
	idle     []idleCloser // what it has connections with
}

type idleCloser interface{ CloseIdleConnections() }

// newSite wires a site. It returns every problem that there is.
func newSite(c Site, policy forwarded.Policy, tracer *tracing.Tracer, log *slog.Logger) (*site, error) {
	errs := c.problems()
	config := c.Proxy
	if config.Hosts == nil {
		config.Hosts = c.Hosts
	}
	config.TrustedProxies, config.ClientIPHeader = policy.Trusted, policy.ClientIPHeader
	if config.Logger == nil {
		config.Logger = log
	}
	if tracer != nil {
		wrap := c.Proxy.WrapTransport
		config.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
			if wrap != nil {
				next = wrap(next)
			}
			return tracer.ToFrontendAPI(next)
		}
	}
	proxy, err := clerkproxy.New(config)
	errs = append(errs, err)
	backend := c.backendTransport()
	authn, err := c.authenticator(proxy, backend, config.Logger)
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	transport := appTransport(upstream.Timeout(c.AppTimeout, DefaultAppTimeout))
	var toApp http.RoundTripper = transport
	if tracer != nil {
		toApp = tracer.ToApp(toApp)
	}
	app, err := c.app(proxy, toApp, policy, log)
	if err != nil {
		return nil, err
	}
	if authn != nil {
		app = authn.Middleware(identify(app))
	}
	handler := proxy.Middleware(forApp(app))
	plain, _ := handler.(wire.Handler)
	return &site{
		name:    c.NameOrDefault(),
		config:  c,
		policy:  policy,
		proxy:   proxy,
		assets:  proxy.Path() + "/npm/",
		handler: slowBody(handler),
		plain:   plain,
		idle:    []idleCloser{proxy, transport, backend},
	}, nil
}

// backendTransport makes the connections to the Backend API.
func (c *Site) backendTransport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: c.Proxy.RootCAs, MinVersion: tls.VersionTLS12}
	return transport
}

// authenticator returns nil when there is none. Without a proxy, whose problems
// are known already, it is made for the sake of its own.
func (c *Site) authenticator(proxy *clerkproxy.Proxy, transport http.RoundTripper, log *slog.Logger) (*auth.Authenticator, error) {
	if c.Authentication == nil {
		return nil, nil
	}
	config := auth.Config{
		Proxy:             proxy,
		IsSatellite:       c.Authentication.IsSatellite,
		SignInURL:         c.Authentication.SignInURL,
		SignUpURL:         c.Authentication.SignUpURL,
		AuthorizedParties: c.Authentication.AuthorizedParties,
		BackendAPIURL:     c.Authentication.BackendAPIURL,
		OnDecision:        noteDecision,
		Transport:         transport,
		Logger:            log,
	}
	if proxy != nil {
		return auth.New(config)
	}
	config.PublishableKey, config.SecretKey, config.ProxyURL = c.Proxy.PublishableKey, c.Proxy.SecretKey, clerkproxy.DefaultPath
	_, err := auth.New(config)
	return nil, errors.Join(slices.DeleteFunc(Problems(err), func(err error) bool {
		problem, ok := errors.AsType[*clerkproxy.ConfigError](err)
		return ok && (problem.Field == "PublishableKey" || problem.Field == "SecretKey")
	})...)
}

// noteDecision puts a decision on the record of its request.
func noteDecision(r *http.Request, state auth.State) {
	if access := accessOf(r.Context()); access != nil {
		access.AuthStatus, access.AuthReason = string(state.Status), state.Reason
	}
}

// app is what answers when it is not Clerk.
func (c *Site) app(proxy *clerkproxy.Proxy, transport http.RoundTripper, policy forwarded.Policy, log *slog.Logger) (http.Handler, error) {
	switch {
	case c.App != nil:
		return c.App, nil
	case c.AppFor != nil:
		return c.AppFor(proxy)
	case c.AppURL != nil:
		return newAppProxy(c.AppURL, transport, policy, log), nil
	default:
		return notFound(proxy.Path()), nil
	}
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inFlight.add(1)
	defer s.inFlight.add(-1)
	if access := accessOf(r.Context()); access != nil {
		s.note(access)
	}
	s.handler.ServeHTTP(w, r)
}

// note puts on a request's record that it is the site's, and Clerk's until an
// application gets it.
func (s *site) note(access *Access) {
	access.Site, access.Target, access.proxyPath = s.name, TargetClerk, s.proxy.Path()
	access.Asset = strings.HasPrefix(access.Path, s.assets)
}

// problems are those that the proxy does not know of.
func (c *Site) problems() (errs []error) {
	fail := func(field, problem string) {
		errs = append(errs, &clerkproxy.ConfigError{Field: field, Problem: problem})
	}
	if c.Proxy.TrustedProxies != nil || c.Proxy.ClientIPHeader != "" {
		fail("Proxy", "has TrustedProxies or a ClientIPHeader of its own; set those of the server")
	}
	if c.App != nil && c.AppFor != nil {
		fail("AppFor", "is set along with App; one of them answers")
	}
	if (c.App != nil || c.AppFor != nil) && c.AppURL != nil {
		fail("AppURL", "is set along with App or AppFor; one of them answers")
	}
	return errs
}

// is reports whether the site is what a configuration says, but for the secret
// key. What is code cannot be compared: a site with some is always another.
func (s *site) is(c Site, policy forwarded.Policy) bool {
	former := s.config
	if former.App != nil || former.AppFor != nil || former.Proxy.Transport != nil || former.Proxy.Enabled != nil || former.Proxy.WrapTransport != nil {
		return false
	}
	if !former.Proxy.RootCAs.Equal(c.Proxy.RootCAs) || former.Proxy.Logger != c.Proxy.Logger {
		return false
	}
	for _, each := range []*clerkproxy.Config{&former.Proxy, &c.Proxy} {
		each.SecretKey, each.RootCAs, each.Logger = "", nil, nil
	}
	return reflect.DeepEqual(former, c) && reflect.DeepEqual(s.policy, policy)
}

// retire closes the connections of a site that gets no more requests, once those
// under way have ended.
func (s *site) retire() {
	closeIdle := func() {
		for _, each := range s.idle {
			each.CloseIdleConnections()
		}
	}
	closeIdle()
	s.inFlight.wheneverIdle(closeIdle)
}
