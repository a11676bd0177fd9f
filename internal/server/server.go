// Package server is the standalone server: the Clerk proxy in front of an
// application, with an access log, request ids and a graceful end.
//
// A request's way through it reads top to bottom in [New]:
//
//	accessLog → recovery → clerkproxy.Proxy.Middleware ─ Clerk's ─▶ Frontend API
//	                                                  └─ other ───▶ application
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

const (
	// DefaultListen is loopback: whoever wants to be reached from elsewhere
	// says so, as the server speaks plain HTTP and trusts private addresses to
	// be proxies.
	DefaultListen = "127.0.0.1:8080"
	// DefaultDrainTimeout is below the 30 s after which Kubernetes kills.
	DefaultDrainTimeout = 25 * time.Second
	// DefaultAppTimeout is that of nginx's proxy_read_timeout.
	DefaultAppTimeout = 60 * time.Second
)

const (
	// readHeaderTimeout ends connections that send their headers a byte at a
	// time to occupy the server.
	readHeaderTimeout = 10 * time.Second
	// idleConnTimeout is longer than the 60 s of common load balancers, so that
	// they close first and never send a request into a closing connection.
	idleConnTimeout = 120 * time.Second
	// maxHeaderBytes leaves room for Clerk's cookies, of several instances and
	// with a handshake among them: twice what nginx accepts.
	maxHeaderBytes = 64 << 10
	// cutGrace is how long requests that are cut off have to notice.
	cutGrace = time.Second
)

// errShutdown is why a request that outlived the drain timeout was ended.
var errShutdown = errors.New("the server is shutting down")

// Config configures a [Server].
type Config struct {
	// Listen is the address to listen on, host:port. Without a host it is all
	// interfaces; port 0 is any free one. Default: [DefaultListen].
	Listen string

	// Proxy configures the Clerk proxy. Its TrustedProxies and ClientIPHeader
	// serve the access log and the application too. If its Logger is nil, it
	// gets Logger.
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

	// DrainTimeout limits how long requests under way have to end once the
	// server is told to stop. Default: [DefaultDrainTimeout].
	DrainTimeout time.Duration

	// Logger receives the access log and what an operator should know. Nil:
	// [slog.Default].
	Logger *slog.Logger

	// OnListen, if not nil, is called once the server accepts connections.
	OnListen func(net.Addr)

	// OnAccess, if not nil, is called with the record of each request, when it
	// has ended, by the request's own goroutine.
	OnAccess func(Access)
}

// Server serves the Clerk proxy and an application. Make one with [New].
type Server struct {
	listen   string
	drain    time.Duration
	log      *slog.Logger
	onListen func(net.Addr)
	handler  http.Handler
	inFlight inFlight
}

// New checks the configuration and wires the server. Its error joins every
// problem there is, those of [clerkproxy.New] too, each a
// [*clerkproxy.ConfigError]. New does not use the network.
func New(c Config) (*Server, error) {
	s := &Server{
		listen:   cmp.Or(c.Listen, DefaultListen),
		drain:    cmp.Or(c.DrainTimeout, DefaultDrainTimeout),
		log:      slog.New(requestIDHandler{cmp.Or(c.Logger, slog.Default()).Handler()}),
		onListen: c.OnListen,
	}
	errs := c.problems()

	proxyConfig := c.Proxy
	proxyConfig.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
		if c.Proxy.WrapTransport != nil {
			next = c.Proxy.WrapTransport(next)
		}
		return timed(next)
	}
	if proxyConfig.Logger == nil {
		proxyConfig.Logger = s.log
	}
	proxy, err := clerkproxy.New(proxyConfig)
	if err = errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}

	policy := c.policy()
	app := c.App
	switch {
	case app != nil:
	case c.AppFor != nil:
		if app, err = c.AppFor(proxy); err != nil {
			return nil, err
		}
	case c.AppURL != nil:
		app = newAppProxy(c.AppURL, policy, upstream.Timeout(c.AppTimeout, DefaultAppTimeout), s.log)
	default:
		app = notFound(proxy.Path())
	}

	handler := slowBody(proxy.Middleware(toApp(app)))
	handler = recovery(s.log, handler)
	handler = accessLog(s.log, policy, c.OnAccess, handler)
	s.handler = s.inFlight.count(handler)
	return s, nil
}

// Handler is what the server answers with, for tests and for servers of one's
// own.
func (s *Server) Handler() http.Handler { return s.handler }

// Run listens and serves until ctx is done. Then it accepts no more
// connections, gives the requests under way the drain timeout to end, and
// returns nil if they did. WebSockets do not end by themselves; they are closed
// once everything else has ended.
func (s *Server) Run(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return listenError(s.listen, err)
	}
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errShutdown)
	srv := &http.Server{
		Handler:           s.handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleConnTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }() // ends when srv is shut down
	if s.onListen != nil {
		s.onListen(listener.Addr())
	}

	select {
	case err := <-served:
		return fmt.Errorf("accept connections on %s: %w", s.listen, err)
	case <-ctx.Done():
		return s.stop(srv, cut)
	}
}

// stop ends the server, gently first.
func (s *Server) stop(srv *http.Server, cut context.CancelCauseFunc) error {
	s.log.Info("draining", slog.Int("requests", s.inFlight.now()), slog.Duration("timeout", s.drain))
	err := shutdown(srv, s.drain)

	// What is left are WebSockets, of which Shutdown knows nothing, and
	// whatever did not end in time. A handler that notices that it is cut off
	// may still answer, so connections are closed once they are idle.
	remaining := s.inFlight.now()
	cut(errShutdown)
	s.inFlight.wait(cutGrace)
	_ = shutdown(srv, cutGrace)
	_ = srv.Close()
	s.inFlight.wait(cutGrace)
	if err != nil && remaining > 0 { // else it waited for connections on which nothing was asked
		return fmt.Errorf("requests under way did not end within the drain timeout of %s and were cut off (%d)", s.drain, remaining)
	}
	s.log.Info("stopped")
	return nil
}

func shutdown(srv *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return srv.Shutdown(ctx)
}

// policy is whom the server believes, as the proxy does.
func (c *Config) policy() forwarded.Policy {
	p := forwarded.Policy{
		Trusted:        c.Proxy.TrustedProxies,
		ClientIPHeader: textproto.CanonicalMIMEHeaderKey(c.Proxy.ClientIPHeader),
	}
	if p.Trusted == nil {
		p.Trusted = forwarded.DefaultTrustedProxies()
	}
	return p
}

// problems are those of the server's own fields.
func (c *Config) problems() (errs []error) {
	fail := func(field, problem string) {
		errs = append(errs, &clerkproxy.ConfigError{Field: field, Problem: problem})
	}
	if c.Listen != "" {
		host, port, err := net.SplitHostPort(c.Listen)
		n, portErr := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil || portErr != nil:
			fail("Listen", fmt.Sprintf("%q is not an address to listen on; write host:port, or :port for all interfaces", c.Listen))
		case c.AppURL != nil && isSelf(host, uint16(n), c.AppURL):
			fail("AppURL", "is the address that this server itself listens on; write the application's")
		}
	}
	if c.App != nil && c.AppFor != nil {
		fail("AppFor", "is set along with App; one of them answers")
	}
	if (c.App != nil || c.AppFor != nil) && c.AppURL != nil {
		fail("AppURL", "is set along with App or AppFor; one of them answers")
	}
	return errs
}

// isSelf reports whether a URL on this machine has the port that the server
// listens on: it would forward to itself without end.
func isSelf(host string, port uint16, u *url.URL) bool {
	appPort := u.Port()
	if appPort == "" {
		appPort = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return appPort == strconv.Itoa(int(port)) && isOwnAddress(host) && isOwnAddress(u.Hostname())
}

func isOwnAddress(host string) bool {
	if host == "" || host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsUnspecified())
}

// listenError says what the operating system meant.
func listenError(address string, err error) error {
	var system *net.OpError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is in use; stop the program that has it, or choose another port", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not permitted; a port below 1024 needs privileges (CAP_NET_BIND_SERVICE)", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine does not have that address", address)
	case errors.As(err, &system):
		err = system.Err
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
