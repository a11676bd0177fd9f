package http3

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"
)

// A conn is a client's connection.
type conn struct {
	server   *Server
	endpoint *endpoint
	quic     *quic.Conn
	frames   *h3.Server // of this connection alone: what it shuts down is a connection
	idle     *time.Timer

	// Guarded by server.mu.
	active     int  // requests that are being answered
	webSockets int  // those of active that have become WebSockets
	serving    bool // frames has the connection
	leaving    bool
	grace      time.Duration // when leaving, until it is closed if it is idle
}

func (s *Server) newConn(accepted *quic.Conn, e *endpoint) *conn {
	c := &conn{server: s, endpoint: e, quic: accepted}
	c.frames = &h3.Server{Handler: c, MaxHeaderBytes: s.config.MaxHeaderBytes, ConnContext: c.begun}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	e.made++
	c.idle = time.AfterFunc(s.config.IdleTimeout, c.closeIdle)
	if s.draining || e.retired {
		// Its handshake was under way. The client may have asked already, and has
		// to be told that this was not heard.
		c.dismiss(s.grace)
	}
	return c
}

// serve serves the connection until it is closed.
func (c *conn) serve() {
	_ = c.frames.ServeQUICConn(c.quic) // what is wrong with a connection is its client's
	c.close()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	delete(c.server.conns, c)
	c.endpoint.made--
	c.idle.Stop()
	c.server.note()
}

// begun is called when frames has the connection: one that it does not have yet
// it cannot shut down.
func (c *conn) begun(ctx context.Context, _ *quic.Conn) context.Context {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.serving = true
	if c.leaving {
		c.goAway()
	}
	return ctx
}

// dismiss tells the client to ask no more, RFC 9114 §5.2, and closes the
// connection when it has become idle. What the client has asked meanwhile is
// refused in a way that lets it ask elsewhere. server.mu is held.
func (c *conn) dismiss(grace time.Duration) {
	c.grace = max(grace, lastWords)
	if c.active == 0 {
		c.idle.Reset(c.grace)
	}
	if c.serving && !c.leaving {
		c.goAway()
	}
	c.leaving = true
}

func (c *conn) goAway() {
	go func() { _ = c.frames.Shutdown(context.Background()) }() // ends with the connection
}

// closeIdle closes the connection if it is idle.
func (c *conn) closeIdle() {
	c.server.mu.Lock()
	idle := c.active == 0
	c.server.mu.Unlock()
	if idle {
		c.close()
	}
}

// close returns when the client has been told.
func (c *conn) close() {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(h3.ErrCodeNoError), "")
}

// begin counts a request. There are no more than maxStreams: quic-go counts them
// until they are answered, whatever the client does.
func (c *conn) begin() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.active++
	c.idle.Stop()
}

func (c *conn) end(webSocket bool) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.active--
	if webSocket {
		c.webSockets--
	}
	if c.active == 0 {
		limit := c.server.config.IdleTimeout
		if c.leaving {
			limit = c.grace
		}
		c.idle.Reset(limit)
	}
	c.server.note()
}

// switched counts a request as a WebSocket.
func (c *conn) switched() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.webSockets++
	c.server.note()
}

// ServeHTTP has a request answered.
func (c *conn) ServeHTTP(under http.ResponseWriter, asked *http.Request) {
	c.begin()
	w := newWriter(c, under, asked)
	defer func() { c.end(w.webSocket) }()
	// By this httputil.ReverseProxy knows a server that it can panic in: without it
	// an answer that breaks off would be taken for a whole one.
	ctx, cancel := context.WithCancelCause(context.WithValue(asked.Context(), http.ServerContextKey, c.server.std))
	defer cancel(context.Canceled)
	base := c.server.config.BaseContext
	defer context.AfterFunc(base, func() { cancel(context.Cause(base)) })()

	r, ok := w.request(asked.WithContext(ctx))
	if !ok {
		refuse(under, h3.ErrCodeMessageError)
		return
	}
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler {
			c.server.log.Error("a handler panicked", slog.String("stack", string(debug.Stack())))
		}
		if v != nil || !w.finish() {
			panic(http.ErrAbortHandler) // which resets the stream
		}
	}()
	if w.status == 0 {
		c.server.config.Handler.ServeHTTP(w, r)
	}
}

// refuse ends a stream without an answer.
func refuse(w http.ResponseWriter, code h3.ErrCode) {
	if stream, err := w.(h3.HTTPStreamer).HTTPStream(); err == nil {
		stream.CancelRead(quic.StreamErrorCode(code))
		stream.CancelWrite(quic.StreamErrorCode(code))
	}
}
