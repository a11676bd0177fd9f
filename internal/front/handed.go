package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// handOver leaves the connection to net/http's server, with what was read of it.
func (c *conn) handOver() {
	c.server.giveAway(c)
	c.mayNotRest()
	read := c.in.b
	// Old clients send an empty line behind a POST. net/http would let that pass, but
	// does not know that there was one.
	for skipped := 0; c.posted && skipped < 4 && len(read) > 0 && (read[0] == '\r' || read[0] == '\n'); skipped++ {
		read = read[1:]
	}
	over := &resumed{Conn: c.net, read: bytes.Clone(read), tls: c.tls}
	c.drop()
	if !c.server.handed.push(over) {
		_ = over.Close()
		c.server.countOther(over, http.StateClosed)
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

// guarded answers what is net/http's. A request whose end a proxy in front may see
// elsewhere is its connection's last, RFC 9112 §6.1: net/http does not tell if a
// length came along with chunks, nor if HTTP/1.0, which has no chunks, had some.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMinor == 0 || len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		if state, ok := r.Context().Value(tlsKey{}).(*tls.ConnectionState); ok {
			r.TLS = state
		}
		next.ServeHTTP(w, r)
	})
}
