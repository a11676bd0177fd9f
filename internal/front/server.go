package front

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/socket"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// Config configures a [Server].
type Config struct {
	// Handler answers whatever Exchanges does not.
	Handler http.Handler
	// Exchanges is asked first, about plain requests. Nil: nobody is.
	Exchanges wire.Handler
	// BaseContext is what the contexts of requests are made from. When it ends,
	// so does whatever is under way. Nil: [context.Background].
	BaseContext context.Context
	// ReadHeaderTimeout limits the time in which the headers of a request have
	// to come, and that of a TLS handshake; IdleTimeout the time until the
	// next request. Both may be late by half a second. Zero: no limit.
	ReadHeaderTimeout, IdleTimeout time.Duration
	// StallTimeout limits the time in which a client takes nothing of what it is
	// sent. It may be late by half a second. Zero: no limit.
	StallTimeout time.Duration
	// MaxHeaderBytes limits the headers of a request. Zero: net/http's.
	MaxHeaderBytes int
	// Logger is told what goes wrong. Nil: [slog.Default].
	Logger *slog.Logger

	// For tests: in place of the constant, and what is called when a connection
	// rests.
	restAfter time.Duration
	onRest    func(*conn)
}

// A Server serves HTTP. Make one with [New].
type Server struct {
	config Config
	log    *slog.Logger
	std    *http.Server
	handed *handed
	done   chan struct{} // closed by Close

	queue chan *stream // of requests for a goroutine that is free
	free  atomic.Int64 // goroutines that are

	clock    atomic.Int64 // milliseconds since the start, and 1; late by a tick
	made     atomic.Pointer[date]
	draining atomic.Bool

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	over      map[*conn]bool // handed over to net/http, until the warden finds them closed
	others    int            // those of them that are net/http's still
	closed    bool
	empty     chan struct{} // closed when no connection is left; nil unless somebody waits
}

// New returns a server. It has goroutines; [Server.Close] ends them.
func New(c Config) *Server {
	if c.BaseContext == nil {
		c.BaseContext = context.Background()
	}
	c.restAfter = cmp.Or(c.restAfter, restAfter)
	s := &Server{
		config:    c,
		log:       cmp.Or(c.Logger, slog.Default()),
		handed:    newHanded(),
		done:      make(chan struct{}),
		queue:     make(chan *stream),
		listeners: map[net.Listener]bool{},
		conns:     map[*conn]bool{},
		over:      map[*conn]bool{},
	}
	s.clock.Store(1)
	s.std = &http.Server{
		Handler:           guarded(c.Handler),
		BaseContext:       func(net.Listener) context.Context { return c.BaseContext },
		ConnContext:       tlsContext,
		ConnState:         s.countOther,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    c.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	// By this httputil.ReverseProxy knows a server that it can panic in: without
	// it an answer that breaks off would be taken for a whole one.
	s.config.BaseContext = context.WithValue(c.BaseContext, http.ServerContextKey, s.std)
	stop := context.AfterFunc(c.BaseContext, s.cutAll)
	go s.warden()                             // ends with done
	go func() { _ = s.std.Serve(s.handed) }() // ends when handed is closed
	go func() { <-s.done; stop() }()
	return s
}

// Serve answers the connections of a listener until it is closed or the server
// is. With a TLS configuration the connections are TLS's; NextProtos says whether
// HTTP/2 is spoken. The error is [http.ErrServerClosed] after Shutdown or Close.
func (s *Server) Serve(l net.Listener, secure *tls.Config) error {
	return s.ServeEach(l, func() *tls.Config { return secure })
}

// ServeEach is Serve where each connection has the TLS configuration that secure
// returns when it is accepted; nil for none.
func (s *Server) ServeEach(l net.Listener, secure func() *tls.Config) error {
	s.mu.Lock()
	if s.closed || s.draining.Load() {
		s.mu.Unlock()
		_ = l.Close()
		return http.ErrServerClosed
	}
	s.listeners[l] = true
	s.mu.Unlock()
	defer s.forget(l)
	for wait := time.Duration(0); ; {
		accepted, err := l.Accept()
		if err == nil {
			wait = 0
			s.start(accepted, secure())
			continue
		}
		switch {
		case s.draining.Load():
			return http.ErrServerClosed
		case !temporary(err):
			return err
		}
		// Out of file descriptors, most likely: some may be free soon.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		s.log.Warn("a connection could not be accepted", slog.Any("error", err), slog.String("again_after", wait.String()))
		select {
		case <-time.After(wait):
		case <-s.done:
			return http.ErrServerClosed
		}
	}
}

// temporary reports whether accepting may work again in a while.
func temporary(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// start begins to serve a connection.
func (s *Server) start(accepted net.Conn, secure *tls.Config) {
	if c := s.newConn(accepted, secure); c != nil {
		go c.serve() // ends with the connection, or when it is handed over
	}
}

// newConn returns nil for what cannot be served.
func (s *Server) newConn(accepted net.Conn, secure *tls.Config) *conn {
	under, err := socket.New(accepted)
	if err != nil {
		_ = accepted.Close()
		s.log.Error("a connection cannot be served", slog.Any("error", err))
		return nil
	}
	c := &conn{server: s, socket: under, net: under, secure: secure, remote: under.RemoteAddr().String()}
	c.peer = forwarded.PeerAddr(c.remote)
	c.room, c.noRoom = c.makeRoom, c.dropEmpty
	c.watch.server, c.watch.unblock = s, func() { _ = under.SetWriteDeadline(time.Unix(1, 0)) }
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = under.Close()
		return nil
	}
	s.conns[c] = true
	return c
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.noteEmpty()
}

// giveAway makes a connection net/http's.
func (s *Server) giveAway(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.over[c] = true
	s.others++
}

// countOther forgets the connections that net/http is done with. Those that have
// switched protocols are not waited for.
func (s *Server) countOther(_ net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others--
	s.noteEmpty()
}

// noteEmpty tells those who wait when there is no connection left. s.mu is held.
func (s *Server) noteEmpty() {
	if len(s.conns) == 0 && s.others == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// Shutdown accepts no more connections, ends those that are idle, and waits for
// the requests under way, until ctx ends. Connections that have switched
// protocols are not waited for. An idle connection is given the time of a grace
// first: a request on its way to it is answered, and told that it is the last; of
// connections that are net/http's, it is the handler who has to say so.
func (s *Server) Shutdown(ctx context.Context, grace time.Duration) error {
	s.stopAccepting()
	s.dismiss()
	if empty := s.whenEmpty(); empty != nil {
		select {
		case <-empty:
		case <-time.After(grace):
		case <-ctx.Done():
		}
	}
	err := s.std.Shutdown(ctx)
	for {
		s.endIdle()
		empty := s.whenEmpty()
		if empty == nil {
			return err
		}
		select {
		case <-empty:
			return err
		case <-time.After(20 * time.Millisecond): // others have become idle
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dismiss tells the clients that speak HTTP/2 that there will be no more answers.
func (s *Server) dismiss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if h2 := c.h2.Load(); h2 != nil {
			go h2.goAway(http2.ErrCodeNo) // ends when it is written, or the connection is closed
		}
	}
}

func (s *Server) stopAccepting() {
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		_ = l.Close()
	}
}

// endIdle closes the connections on which nothing is asked.
func (s *Server) endIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.limit.endIdle() {
			c.leave()
		}
	}
}

// whenEmpty returns nil when there is no connection.
func (s *Server) whenEmpty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 && s.others == 0 {
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	return s.empty
}

// cutAll ends what is under way, when BaseContext has ended.
func (s *Server) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.watch.interrupt(context.Cause(s.config.BaseContext))
		if h2 := c.h2.Load(); h2 != nil {
			h2.interrupt(context.Cause(s.config.BaseContext))
		}
	}
}

// maxFree is how many goroutines wait for requests over HTTP/2. A new one begins
// with a stack that is too small.
const maxFree = 64

// work has a request answered by a goroutine that is free, or another one.
func (s *Server) work(st *stream) {
	select {
	case s.queue <- st:
	default:
		go s.answer(st) // ends when enough are free, or with the server
	}
}

func (s *Server) answer(st *stream) {
	for {
		st.run()
		st = nil // it is not held while this one waits
		if s.free.Add(1) > maxFree {
			s.free.Add(-1)
			return
		}
		select {
		case st = <-s.queue:
			s.free.Add(-1)
		case <-s.done:
			return
		}
	}
}

// Close closes everything at once.
func (s *Server) Close() error {
	s.stopAccepting()
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	for c := range s.conns {
		c.watch.interrupt(wire.ErrClientGone) // it may be waiting for anything
		_ = c.socket.Close()
	}
	s.mu.Unlock()
	s.handed.Close()
	return s.std.Close()
}
