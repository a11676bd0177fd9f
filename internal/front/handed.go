package front

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// handOver leaves the connection to net/http's server, with what was read of it.
func (c *conn) handOver() {
	c.server.remove(c)
	var over net.Conn = c.net
	if c.in != nil {
		over = &resumed{Conn: c.net, read: append([]byte(nil), c.in.b...), tls: c.tls}
		c.drop()
	}
	if !c.server.handed.push(over) {
		_ = over.Close()
	}
}

// handed is the listener whose connections are those that were handed over.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHanded() *handed {
	return &handed{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handed) push(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements [net.Listener].
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (h *handed) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements [net.Listener].
func (h *handed) Addr() net.Addr { return &net.UnixAddr{Name: "@front"} }

// A resumed connection gives back first what was read of it.
type resumed struct {
	net.Conn
	read []byte
	tls  *tls.ConnectionState
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.read)
	if r.read = r.read[n:]; len(r.read) == 0 {
		r.read = nil
	}
	return n, nil
}

// CloseWrite is what net/http calls so that an answer arrives before a
// connection is closed on a client that still sends.
func (r *resumed) CloseWrite() error {
	if c, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

type tlsKey struct{}

// tlsContext notes what net/http cannot see of a resumed connection.
func tlsContext(ctx context.Context, c net.Conn) context.Context {
	if r, ok := c.(*resumed); ok && r.tls != nil {
		return context.WithValue(ctx, tlsKey{}, r.tls)
	}
	return ctx
}

func withTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if state, ok := r.Context().Value(tlsKey{}).(*tls.ConnectionState); ok {
			r.TLS = state
		}
		next.ServeHTTP(w, r)
	})
}
