package http3

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"
)

const (
	// maxStreams is how many requests a client may have under way on a
	// connection, those included that it has given up and that are still ending.
	maxStreams = 100
	// uploadWindow is how much of requests' bodies may have come without being
	// wanted yet: of one request, and of all that a connection has.
	uploadWindow = 1 << 20
	// wantedBuffer is how large a buffer quic-go wants the kernel to have.
	wantedBuffer = 7 << 20
	// maxHandshakes is how many may be under way before more clients have to show
	// that they are where they say they are.
	maxHandshakes = 256
	// lastWords is how long what was sent may take to arrive, before a connection
	// is closed: whatever is still on its way then is lost.
	lastWords = 250 * time.Millisecond
)

// Config configures a [Server].
type Config struct {
	// Handler answers requests.
	Handler http.Handler
	// BaseContext ends the contexts of requests when it ends, with its cause.
	// Nil: [context.Background].
	BaseContext context.Context
	// HandshakeTimeout limits the time until a connection is made. Zero:
	// quic-go's, 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a connection is kept on which nothing is asked,
	// also if streams are open on it whose requests do not come. Clients may
	// want less. Zero: 2 minutes.
	IdleTimeout time.Duration
	// StallTimeout ends an answer of which the client takes too little, 16 KiB in
	// that time, unless the handler has set a deadline of its own. Zero: no limit.
	StallTimeout time.Duration
	// MaxHeaderBytes limits the headers of a request. Zero: net/http's.
	MaxHeaderBytes int
	// Logger is told what goes wrong. Nil: [slog.Default].
	Logger *slog.Logger

	maxHandshakes int // for tests, in place of the constant
}

// A Server serves HTTP/3. Make one with [New].
type Server struct {
	config Config
	log    *slog.Logger
	std    *http.Server // for handlers that look for one

	patience time.Duration

	mu        sync.Mutex // guards the fields below, and those of connections
	endpoints map[*Socket]*endpoint
	conns     map[*conn]bool
	draining  bool
	grace     time.Duration // while draining, for connections that become idle
	changed   chan struct{} // closed when the above changes; nil unless somebody waits
}

// An endpoint is a socket that is served.
type endpoint struct {
	server    *Server
	socket    *Socket
	transport *quic.Transport
	done      chan struct{} // closed when nobody is served any more

	// Guarded by server.mu.
	open    int  // connections, and handshakes
	made    int  // connections
	retired bool // there are to be no more
}

// New returns a server.
func New(c Config) *Server {
	if c.BaseContext == nil {
		c.BaseContext = context.Background()
	}
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 2*time.Minute)
	c.maxHandshakes = cmp.Or(c.maxHandshakes, maxHandshakes)
	return &Server{
		config:    c,
		log:       cmp.Or(c.Logger, slog.Default()),
		std:       new(http.Server),
		patience:  patience,
		endpoints: map[*Socket]*endpoint{},
		conns:     map[*conn]bool{},
	}
}

// Serve answers the connections that come to a socket, which it closes in the end.
// The certificate, and all else but the protocol, is what secure says. Serve
// returns when the socket is closed and nobody is served on it any more; the error
// is nil after [Server.Retire], and [http.ErrServerClosed] after Shutdown or Close.
func (s *Server) Serve(socket *Socket, secure *tls.Config) error {
	defer socket.Close()
	e := &endpoint{server: s, socket: socket, done: make(chan struct{})}
	e.transport = &quic.Transport{Conn: socket, ConnectionIDGenerator: socket, ConnContext: e.admit, VerifySourceAddress: e.doubts}
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return http.ErrServerClosed
	}
	// quic-go asks for larger buffers. If it gets none it says so to whoever reads
	// the standard logger, unless it is told not to: it is said below.
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	listener, err := e.transport.Listen(h3.ConfigureTLSConfig(secure), s.quicConfig())
	if err != nil {
		s.mu.Unlock()
		return err
	}
	s.endpoints[socket] = e
	s.mu.Unlock()
	if size := socket.buffer(); 0 < size && size < wantedBuffer {
		s.log.Info("the kernel's buffer for datagrams is small: under load some get lost, and are sent again; allow a larger one with net.core.rmem_max",
			slog.String("address", socket.LocalAddr().String()), slog.Int("bytes", size), slog.Int("wanted", wantedBuffer))
	}

	// The listener is closed last: it would end handshakes under way, of which the
	// client may think that they are over.
	go func() {
		for quiet := false; !quiet; quiet = s.staysUnused(e) {
			_ = s.await(context.Background(), func() bool { return e.retired && e.open == 0 })
		}
		_ = listener.Close()
	}()
	for err == nil {
		var accepted *quic.Conn
		if accepted, err = listener.Accept(context.Background()); err == nil {
			go s.newConn(accepted, e).serve() // ends with the connection
		}
	}
	_ = e.transport.Close()
	return s.forget(e, err)
}

// admit counts a connection from its first datagram on, and refuses it if there are
// to be no more; but not if the successor already serves the socket, as the client
// would have come to that one a moment later.
func (e *endpoint) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	passed := e.socket.readsLine() != nil
	e.server.mu.Lock()
	defer e.server.mu.Unlock()
	if e.retired && !passed {
		return nil, http.ErrServerClosed
	}
	e.open++
	context.AfterFunc(ctx, func() {
		e.server.mu.Lock()
		defer e.server.mu.Unlock()
		e.open--
		e.server.note()
	})
	return ctx, nil
}

// staysUnused gives a first datagram that was read before a successor did the time
// to be counted, and reports whether there was none.
func (s *Server) staysUnused(e *endpoint) bool {
	time.Sleep(lastWords)
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.open == 0
}

// doubts reports whether a client has to answer a Retry first, RFC 9000 §8.1.2: a
// handshake takes memory and processor time, and a first datagram any address that
// its sender likes.
func (e *endpoint) doubts(net.Addr) bool {
	e.server.mu.Lock()
	defer e.server.mu.Unlock()
	return e.open-e.made >= e.server.config.maxHandshakes
}

// forget ends an endpoint. What Serve returns is err, unless it was to end.
func (s *Server) forget(e *endpoint, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		err = http.ErrServerClosed
	case e.retired:
		err = nil
	}
	e.retired = true
	delete(s.endpoints, e.socket)
	close(e.done)
	s.note()
	return err
}

// quicConfig is what clients get. A request that came early (0-RTT) could be one
// that somebody else plays once more, RFC 8470, so there are none.
func (s *Server) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           s.config.HandshakeTimeout / 2, // quic-go allows twice that in all
		MaxIdleTimeout:                 s.config.IdleTimeout,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          8, // a client has three
		MaxStreamReceiveWindow:         uploadWindow,
		InitialConnectionReceiveWindow: uploadWindow,
		MaxConnectionReceiveWindow:     uploadWindow,
	}
}

// Retire serves no more connections of a socket. Those that there are, are told
// that they have had their last answer, and closed as they become idle, those that
// are idle after a grace; what is left when ctx ends is cut off. Then the socket is
// closed. One that Serve has not begun with is closed at once, which ends Serve.
func (s *Server) Retire(ctx context.Context, socket *Socket, grace time.Duration) {
	s.mu.Lock()
	e := s.endpoints[socket]
	s.mu.Unlock()
	if e == nil {
		_ = socket.Close()
		return
	}
	s.leave(e, grace)
	select {
	case <-e.done:
		return
	case <-ctx.Done():
	}
	s.closeConns(e)
	_ = e.transport.Close() // and handshakes
	<-e.done
}

// leave has an endpoint, or all if it is nil, take no more connections, and dismisses
// the clients.
func (s *Server) leave(of *endpoint, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		if of == nil || e == of {
			e.retired = true
		}
	}
	s.note()
	for c := range s.conns {
		if of == nil || c.endpoint == of {
			c.dismiss(grace)
		}
	}
}

// Shutdown accepts no more connections, tells the clients to ask no more (GOAWAY),
// and waits for the requests under way until ctx ends. Clients then close their
// connections; those that do not within the grace have them closed. So long it also
// waits for handshakes. WebSockets are not waited for.
func (s *Server) Shutdown(ctx context.Context, grace time.Duration) error {
	s.mu.Lock()
	s.draining, s.grace = true, grace
	s.mu.Unlock()
	s.leave(nil, grace)
	s.mu.Lock()
	served := len(s.endpoints) > 0
	s.mu.Unlock()
	if served {
		time.Sleep(lastWords) // until what was read before the successor did is counted
	}
	handshakes, enough := context.WithTimeout(ctx, grace)
	defer enough()
	_ = s.await(handshakes, func() bool {
		for _, e := range s.endpoints {
			if e.open > e.made {
				return false
			}
		}
		return true
	})
	return s.await(ctx, func() bool {
		for c := range s.conns {
			if c.active == 0 || c.active > c.webSockets {
				return false
			}
		}
		return true
	})
}

// Close closes everything at once, and returns when it is closed.
func (s *Server) Close() error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.leave(nil, 0)
	s.closeConns(nil)
	s.mu.Lock()
	endpoints := slices.Collect(maps.Values(s.endpoints))
	s.mu.Unlock()
	for _, e := range endpoints {
		_ = e.transport.Close() // and handshakes
	}
	return s.await(context.Background(), func() bool { return len(s.endpoints) == 0 })
}

// closeConns closes the connections of an endpoint, or all if it is nil.
func (s *Server) closeConns(of *endpoint) {
	var closing sync.WaitGroup
	s.mu.Lock()
	for c := range s.conns {
		if of == nil || c.endpoint == of {
			closing.Go(c.close)
		}
	}
	s.mu.Unlock()
	closing.Wait()
}

// await waits until something is so, which is looked at with s.mu held.
func (s *Server) await(ctx context.Context, so func() bool) error {
	for {
		s.mu.Lock()
		if so() {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// note tells those who await something. s.mu is held.
func (s *Server) note() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
