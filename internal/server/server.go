// Package server is the standalone server: for each site the Clerk proxy in front
// of an application, with an access log, request ids and a graceful end.
//
// A request's way through it reads top to bottom in [New], and from the site on
// in newSite:
//
//	accessLog → recovery → (to HTTPS) → routes ─ by host ─▶ site → clerkproxy.Proxy.Middleware ─ Clerk's ─▶ Frontend API
//	                                                                             └─ other ───▶ (auth) → application
package server

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
)

const (
	// DefaultListen is loopback: whoever wants to be reached from elsewhere
	// says so, as the server trusts private addresses to be proxies, and speaks
	// plain HTTP unless it has certificates.
	DefaultListen = "127.0.0.1:8080"
	// DefaultDrainTimeout is below the 30 s after which Kubernetes kills.
	DefaultDrainTimeout = 25 * time.Second
	// DefaultAppTimeout is that of nginx's proxy_read_timeout.
	DefaultAppTimeout = 60 * time.Second
)

// Config configures a [Server].
type Config struct {
	// Listen are the addresses to listen on, each host:port. Without a host it
	// is all interfaces; port 0 is any free one. The sockets that systemd has
	// passed are "systemd", those of one name "systemd:NAME". None:
	// [DefaultListen].
	Listen []string

	// TLS, if not nil, has the server speak HTTPS at Listen, HTTP/2 and
	// HTTP/1.1, with certificates from there. Nil: plain HTTP.
	TLS *certificate.Config

	// HTTPListen are addresses, as in Listen, for plain HTTP in spite of TLS.
	// Requests there are redirected to HTTPS, and authorities answered that ask
	// who this is. None: there are no such listeners.
	HTTPListen []string

	// HSTS is for how long browsers that were here once are to use nothing but
	// HTTPS for the host (RFC 6797), unless the application says so itself.
	// Zero: they are told nothing.
	HSTS time.Duration

	// HTTP3 has HTTP/3 spoken wherever TLS is, over UDP at the same port.
	HTTP3 bool

	// Inherited are sockets that are open already, by the address in Listen or
	// HTTPListen that they are for. The server owns them. Those for other
	// addresses are closed, but for systemd's. It counts for [New] only.
	Inherited map[string][]net.Listener

	// InheritedDatagrams are UDP sockets for HTTP/3 that are open already, as
	// [Server.Datagrams] of another process returned them, or "udp N ADDRESS" for
	// number N of an address. The server owns them, as it does Inherited.
	InheritedDatagrams map[string][]net.Conn

	// Sites are what is served, told apart by their hosts. At least one.
	Sites []Site

	// TrustedProxies and ClientIPHeader say whom all sites, the access log and
	// the applications believe about where a request came from; see
	// [clerkproxy.Config].
	TrustedProxies []netip.Prefix
	ClientIPHeader string

	// DrainDelay is how long the server goes on accepting connections once it is
	// told to stop, for load balancers that have to notice that it is not ready
	// any more. Zero: not at all.
	DrainDelay time.Duration

	// DrainTimeout limits how long requests under way have to end after that.
	// Default: [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// Logger receives the access log and what an operator should know. It
	// counts for [New] only. Nil: [slog.Default].
	Logger *slog.Logger

	// OnListen, if not nil, is called for each listener once the server accepts
	// connections there, with what it serves, such as [ServesHTTPS]. It must not
	// call the server. It counts for [New] only.
	OnListen func(addr net.Addr, serves string)

	// OnReady, if not nil, is called once all listeners are open and connections
	// are accepted, by [Server.Run].
	OnReady func()

	// OnStop, if not nil, is called once [Server.Run] is told to end, before it
	// does anything about it.
	OnStop func()

	// OnAccess, if not nil, is called with the record of each request, when it
	// has ended, by the request's own goroutine. It counts for [New] only.
	OnAccess func(Access)

	// Tracer, if not nil, records a trace of each request. It counts for [New]
	// only.
	Tracer *tracing.Tracer
}

// Server serves the Clerk proxy and applications. Make one with [New].
type Server struct {
	log      *slog.Logger
	onListen func(net.Addr, string)
	onReady  func()
	onStop   func()
	onAccess func(Access)
	tracer   *tracing.Tracer
	handler  http.Handler
	inFlight inFlight

	current atomic.Pointer[current]
	ready   atomic.Bool
	ending  atomic.Bool // connections are to end with their next answer
	after   func(time.Duration) <-chan time.Time

	httpsPort atomic.Int32 // 0: not known
	checking  bool         // nothing is to be made of the configuration

	mu        sync.Mutex // one change at a time; it guards the fields below
	listeners listeners
	datagrams datagrams
	keeper    keeper
	reloads   Reloads
}

// current is what is served until the next reload.
type current struct {
	config   Config
	policy   forwarded.Policy
	security security
	routes   *routes
	handler  http.Handler
}

// New checks the configuration and wires the server. Its error joins every
// problem there is, those of [clerkproxy.New] too, each a
// [*clerkproxy.ConfigError], or a [*SiteError] with one. New does not use the
// network.
func New(c Config) (*Server, error) {
	s := newServer(c)
	first, err := s.wire(c, new(current))
	if err != nil {
		return nil, err
	}
	s.current.Store(first)
	s.handler = s.inFlight.count(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.current.Load().handler.ServeHTTP(w, r)
	}))
	return s, nil
}

func newServer(c Config) *Server {
	return &Server{
		log:       slog.New(requestIDHandler{cmp.Or(c.Logger, slog.Default()).Handler()}),
		onListen:  c.OnListen,
		onReady:   c.OnReady,
		onStop:    c.OnStop,
		onAccess:  c.OnAccess,
		tracer:    c.Tracer,
		after:     time.After,
		listeners: listeners{inherited: c.Inherited},
		datagrams: datagrams{inherited: inheritDatagrams(c.InheritedDatagrams)},
	}
}

// wire makes what a configuration says, with those of the former sites that it
// leaves as they were.
func (s *Server) wire(c Config, former *current) (*current, error) {
	if len(c.Listen) == 0 {
		c.Listen = []string{DefaultListen}
	}
	c.DrainTimeout = cmp.Or(c.DrainTimeout, DefaultDrainTimeout)
	errs := c.listenProblems()
	routes, siteErrs := c.routes(s.log, s.tracer, former.routes)
	security, tlsErrs := s.secure(&c, former.security)
	if err := errors.Join(slices.Concat(errs, siteErrs, tlsErrs)...); err != nil {
		return nil, err
	}
	var handler http.Handler = routes
	if security.certificates != nil {
		handler = s.toHTTPS(security, routes, handler)
	}
	handler = recovery(s.log, handler)
	handler = s.accessLog(c.policy(), security.hsts, len(c.Sites) > 1, handler)
	return &current{config: c, policy: c.policy(), security: security, routes: routes, handler: handler}, nil
}

// Handler is what the server answers with, for tests and for servers of one's
// own.
func (s *Server) Handler() http.Handler { return s.handler }

// policy is whom the server believes, as the proxies do.
func (c *Config) policy() forwarded.Policy {
	p := forwarded.Policy{
		Trusted:        c.TrustedProxies,
		ClientIPHeader: textproto.CanonicalMIMEHeaderKey(c.ClientIPHeader),
	}
	if p.Trusted == nil {
		p.Trusted = forwarded.DefaultTrustedProxies()
	}
	return p
}

// Problems takes apart what [errors.Join] has joined, however deep: the problems
// of a configuration one by one.
func Problems(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, each := range joined.Unwrap() {
		all = append(all, Problems(each)...)
	}
	return all
}

// Check reports what is wrong with a configuration, as [New] does, and makes
// nothing of it.
func Check(c Config) error {
	c.Logger = slog.New(slog.DiscardHandler)
	s := newServer(c)
	s.checking = true
	_, err := s.wire(c, new(current))
	return err
}
