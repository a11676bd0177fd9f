// Package admin is what an operator sees of the server: whether it is alive and
// ready, its metrics, and a page to look at. It has a listener of its own, which
// is not meant to be reached from outside; it holds no secret, and changes
// nothing but what it knows of itself.
package admin

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/metrics"
)

// Config configures a [Server].
type Config struct {
	// Version is the program's.
	Version string
	// Health and Metrics are those of the server. Required.
	Health  *Health
	Metrics *metrics.Metrics
	// InFlight is how many requests are under way. Nil: nobody knows.
	InFlight func() int
	// Sites are those that are served now. Nil: none.
	Sites func() []Site
	// Certificates are those that the server has. Nil: none.
	Certificates func() []metrics.Certificate
	// Reloads are the attempts to load the configuration again. Nil: none.
	Reloads func() metrics.Reloads
	// Events are the last warnings. Nil: none.
	Events *Events
	// Check looks at the proxies from outside. It calls found with what it has
	// so far, as often as there is more; a report takes the place of the one
	// before with the same proxy URL. Nil: there is no button for it.
	Check func(ctx context.Context, found func(check.Report)) error
	// Profiles serves /debug/pprof, by which anybody who reaches the listener
	// can look into the memory, secrets in it, and slow the process down.
	Profiles bool
	// Logger receives what goes wrong. Required.
	Logger *slog.Logger
}

// A Site is what the page shows of one.
type Site struct {
	Name        string `json:"name"`
	ProxyURL    string `json:"proxyURL"`    // a path or a URL; empty: the proxy is off
	FrontendAPI string `json:"frontendAPI"` // the origin
	App         string `json:"app"`         // the application's URL, or empty
	AssetCache  int64  `json:"-"`           // the limit of its cache
}

func (c *Config) sites() []Site {
	if c.Sites == nil {
		return nil
	}
	return c.Sites()
}

const (
	// DefaultListen is loopback, for people on this machine; whoever wants it to
	// be reached by Prometheus or a load balancer says so. The port is CLERK on
	// a telephone's keys: no other program has it by default, and no system
	// takes it for a connection of its own.
	DefaultListen = "127.0.0.1:25375"
	// Off is what is written in place of an address for no admin pages.
	Off = "off"
	// listenAgain is how soon a port that was taken is tried again.
	listenAgain = time.Second
)

// Server answers operators. Make one with [New].
type Server struct {
	config  Config
	started time.Time
	history *history
	checks  checks
	handler http.Handler
}

// New returns a server that has begun to count, but not to listen.
func New(c Config) *Server {
	s := &Server{config: c, started: time.Now()}
	s.history = newHistory(s.read)
	s.checks.run, s.checks.ctx = c.Check, context.Background()
	s.handler = guard(s.routes())
	return s
}

// read reads the counters.
func (s *Server) read() reading {
	r := reading{at: time.Now(), counts: s.config.Metrics.Snapshot()}
	if s.config.InFlight != nil {
		r.inFlight = s.config.InFlight()
	}
	return r
}

//go:embed page
var files embed.FS

func (s *Server) routes() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", live)
	mux.HandleFunc("GET /readyz", s.config.Health.serveReady)
	mux.HandleFunc("GET /readyz/{check}", s.config.Health.serveCheck)
	mux.Handle("GET /metrics", s.config.Metrics.Handler(s.config.Logger))
	mux.HandleFunc("GET /status.json", s.serveStatus)
	mux.Handle("POST /check", &s.checks)
	mux.Handle("GET /", http.FileServerFS(page))
	if s.config.Profiles {
		mux.HandleFunc("GET /debug/pprof/", withoutDeadline(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // what was typed may hold what should not have been
		mux.HandleFunc("GET /debug/pprof/profile", withoutDeadline(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", withoutDeadline(pprof.Trace))
	}
	return mux
}

// withoutDeadline lets a profile take the time that it was asked to take.
func withoutDeadline(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		next(w, r)
	}
}

// Handler is what the server answers with.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves on an address until ctx is done. Where it cannot, it says so and
// tries again: a port that another process still has, as when one takes over from
// another, is no reason for people not to sign in. Who calls ends ctx last of
// all: during a drain there is something to see.
func (s *Server) Run(ctx context.Context, address string) {
	s.checks.ctx = ctx
	var watching sync.WaitGroup
	watching.Go(func() { s.config.Health.watch(ctx) })
	watching.Go(func() { s.history.watch(ctx) })
	defer watching.Wait()

	said := ""
	for try := 1; ctx.Err() == nil; try++ {
		err := s.serve(ctx, address)
		if ctx.Err() != nil {
			return
		}
		// The first time, a predecessor is likely to be just about to let go.
		if why := err.Error(); try > 1 && why != said {
			said = why
			s.config.Logger.Warn("the admin pages cannot be served; it is tried again until they can", slog.String("reason", why))
		}
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

// serve listens and serves until ctx is done or that fails.
func (s *Server) serve(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the port of %s is in use; stop the program that has it, or choose another port (--admin-listen)", address)
	case err != nil:
		return err
	}
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	s.config.Logger.Info("admin pages", slog.String("url", "http://"+listener.Addr().String()+"/"))
	return srv.Serve(listener)
}
