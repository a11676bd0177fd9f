package front

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/socket"
)

// A conn is a client's connection. One goroutine reads its requests and answers
// them, one after the other.
type conn struct {
	server *Server
	socket *socket.Socket
	net    net.Conn    // as it is read and written: the socket, or TLS over it
	secure *tls.Config // nil: no TLS
	tls    *tls.ConnectionState
	remote string // as in http.Request
	peer   netip.Addr

	asked bool    // there was a request
	in    *buffer // what was read and not answered; nil: nothing
	// How fill reads, made once.
	room   func() []byte
	noRoom func()

	limit limit
	watch watch
	h2    atomic.Pointer[conn2] // nil unless it speaks HTTP/2
}

// serve answers requests until there are no more, or one that is net/http's.
func (c *conn) serve() {
	if c.secure != nil {
		if !c.handshake() {
			c.close()
			return
		}
		if c.tls.NegotiatedProtocol == "h2" {
			c.serve2()
			return
		}
	}
	for {
		x, ok := c.readRequest()
		if !ok {
			break
		}
		if !c.answer(x) {
			c.close()
			return
		}
	}
	if c.in == nil || !c.limit.enter(inHead, 0) {
		c.close()
		return
	}
	c.handOver()
}

// serve2 answers requests over HTTP/2.
func (c *conn) serve2() {
	h2 := newConn2(c)
	c.h2.Store(h2)
	h2.serve()
	c.close()
}

// handshake does that of TLS.
func (c *conn) handshake() bool {
	c.limit.enter(inHandshake, c.server.deadline(c.server.config.ReadHeaderTimeout))
	secure := tls.Server(c.socket, c.secure)
	if secure.HandshakeContext(context.Background()) != nil || !c.limit.enter(idle, 0) {
		return false
	}
	state := secure.ConnectionState()
	c.net, c.tls = secure, &state
	return true
}

// readRequest waits for the next request. It returns false when there is none,
// or one that is not plain: then what was read of it is in c.in.
func (c *conn) readRequest() (*exchange1, bool) {
	if !c.limit.enter(idle, c.server.deadline(c.server.config.IdleTimeout)) {
		c.drop()
		return nil, false
	}
	head, began := 0, false
	for {
		if c.in != nil && len(c.in.b) >= c.least() {
			var ok bool
			if head, ok = endOfHead(c.in.b); !ok {
				return nil, false
			}
			if head > 0 {
				break
			}
			if len(c.in.b) == cap(c.in.b) {
				return nil, false
			}
			if !began {
				began = true
				if !c.limit.enter(inHead, c.server.deadline(c.server.config.ReadHeaderTimeout)) {
					c.drop()
					return nil, false
				}
			}
		}
		if err := c.fill(); err != nil {
			if err != io.EOF || c.in != nil && len(c.in.b) < c.least() {
				c.drop() // else net/http says what it thinks of half a request
			}
			return nil, false
		}
	}
	x := newExchange1(c)
	length, closes, ok := parseRequest(&x.Request, string(c.in.b[:head]))
	body := max(length, 0)
	if !ok || body > int64(cap(c.in.b)-head) || !c.readBody(head+int(body)) {
		x.free()
		return nil, false
	}
	x.size = head + int(body)
	x.Body, x.hasLength, x.closes = c.in.b[head:x.size], length >= 0, closes
	return x, true
}

// least is how many bytes are taken for the beginning of a request. Behind
// another one, net/http takes fewer than four for an accident.
func (c *conn) least() int {
	if c.asked {
		return 4
	}
	return 1
}

// bodyPatience is how long a small body may take to arrive whole. One that comes
// along with its head, as forms do, takes none.
const bodyPatience = 10 * time.Millisecond

// readBody reads until n bytes of the request are there. A client that takes its
// time is left to net/http, which passes on what there is.
func (c *conn) readBody(n int) bool {
	if len(c.in.b) >= n {
		return true
	}
	_ = c.socket.SetReadDeadline(time.Now().Add(bodyPatience))
	defer c.socket.SetReadDeadline(time.Time{})
	for len(c.in.b) < n {
		if c.fill() != nil {
			return false
		}
	}
	return true
}

// answer answers a request, and reports whether the connection can have another.
func (c *conn) answer(x *exchange1) (again bool) {
	c.asked = true
	if !c.limit.enter(inExchange, 0) {
		return false
	}
	c.watch.begin()
	again = x.serve(c.server) && !x.closes
	if x.limited {
		_ = c.socket.SetWriteDeadline(time.Time{})
	}
	c.consume(x.size)
	x.free()
	return again
}

// consume forgets what has been answered.
func (c *conn) consume(n int) {
	rest := copy(c.in.b, c.in.b[n:])
	c.in.b = c.in.b[:rest]
	if rest == 0 {
		c.drop()
	}
}

func (c *conn) drop() {
	if c.in != nil {
		c.in.free()
		c.in = nil
	}
}

// fill reads what comes, behind what is there.
func (c *conn) fill() error {
	var n int
	var err error
	switch {
	case c.tls == nil:
		n, err = c.socket.ReadInto(c.room, c.noRoom) // while nothing comes, no buffer is held
	case c.in != nil:
		n, err = c.net.Read(c.in.b[len(c.in.b):cap(c.in.b)])
	default:
		var first [1]byte
		if _, err := io.ReadFull(c.net, first[:]); err != nil {
			return err
		}
		c.in = newBuffer()
		c.in.b = append(c.in.b, first[0])
		return nil
	}
	if c.in != nil {
		c.in.b = c.in.b[:len(c.in.b)+n]
	}
	c.dropEmpty()
	return err
}

// makeRoom is where to put what is there to be read, behind what was read.
func (c *conn) makeRoom() []byte {
	if c.in == nil {
		c.in = newBuffer()
	}
	return c.in.b[len(c.in.b):cap(c.in.b)]
}

// dropEmpty gives back the room if nothing was read.
func (c *conn) dropEmpty() {
	if c.in != nil && len(c.in.b) == 0 {
		c.drop()
	}
}

// write sends two pieces to the client, who has to read them for anything to
// move.
func (c *conn) write(p, q []byte) error {
	if !c.watch.toClient(true) {
		return net.ErrClosed
	}
	err := c.writeBoth(p, q)
	c.watch.toClient(false)
	return err
}

func (c *conn) writeBoth(p, q []byte) error {
	if c.tls == nil {
		_, err := c.socket.WriteBoth(p, q)
		return err
	}
	if len(p) > 0 {
		if _, err := c.net.Write(p); err != nil {
			return err
		}
	}
	if len(q) > 0 {
		_, err := c.net.Write(q)
		return err
	}
	return nil
}

func (c *conn) close() {
	c.drop()
	c.server.remove(c)
	if c.tls != nil {
		_ = c.socket.SetWriteDeadline(time.Now().Add(time.Second)) // TLS says goodbye
	}
	_ = c.net.Close()
}
