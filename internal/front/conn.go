package front

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/socket"
	"github.com/clerkproxy/clerkproxy/internal/wire"
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

	asked   bool    // there was a request
	posted  bool    // the last one was a POST
	in      *buffer // what was read and not answered; nil: nothing
	first   [1]byte // where TLS puts the beginning of what comes, so that no buffer waits for it
	resting resting
	// How fill reads, made once.
	room   func() []byte
	noRoom func()

	limit limit
	watch watch
	// What the warden has seen of a write that waits, and since when.
	stuck uint64
	since int64
	h2    atomic.Pointer[conn2] // nil unless it speaks HTTP/2
}

// serve answers requests until there are no more, or one that is net/http's.
func (c *conn) serve() {
	if c.secure == nil {
		c.serveRequests()
		return
	}
	if !c.handshake() {
		c.close()
		return
	}
	// The stack that a handshake needs is too large to wait with.
	if c.tls.NegotiatedProtocol == "h2" {
		go c.serve2() // ends with the connection
		return
	}
	go c.serveRequests() // ends with the connection, or when it is handed over
}

// serve2 answers requests over HTTP/2.
func (c *conn) serve2() {
	h2 := newConn2(c)
	c.h2.Store(h2)
	h2.serve()
}

// serveRequests answers those of HTTP/1.
func (c *conn) serveRequests() {
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
	if c.resting.due {
		go c.serveRequests() // ends as this one would
		return
	}
	if c.in == nil || !c.limit.enter(inHead, 0) {
		c.close()
		return
	}
	c.handOver()
}

// handshake does that of TLS.
func (c *conn) handshake() bool {
	c.limit.enter(inHandshake, c.server.deadline(c.server.config.ReadHeaderTimeout))
	secure := tls.Server(c.socket, c.secure)
	if err := secure.HandshakeContext(context.Background()); err != nil {
		c.refuse(err)
		return false
	}
	if !c.limit.enter(idle, 0) {
		return false
	}
	state := secure.ConnectionState()
	c.net, c.tls = secure, &state
	return true
}

// refuse tells of a handshake that failed: the log, for debugging, as anybody can
// cause it; and a client that speaks HTTP, as net/http does.
func (c *conn) refuse(err error) {
	c.server.log.Debug("a TLS handshake failed", slog.String("peer", c.remote), slog.Any("reason", err))
	if record, ok := errors.AsType[tls.RecordHeaderError](err); ok && looksLikeHTTP(record.RecordHeader) {
		_ = c.socket.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c.socket, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nThis port speaks HTTPS. Write the URL with https.\n")
	}
}

// looksLikeHTTP reports whether what came in place of TLS begins as a request.
func looksLikeHTTP(record [5]byte) bool {
	switch string(record[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET", "PRI *":
		return true
	}
	return false
}

// readRequest waits for the next request. It returns false when there is none,
// or one that is not plain: then what was read of it is in c.in. Or another
// goroutine is to wait, if c.resting.due.
func (c *conn) readRequest() (*exchange1, bool) {
	if !c.resting.due && !c.limit.enter(idle, c.server.deadline(c.server.config.IdleTimeout)) {
		c.drop()
		return nil, false
	}
	if c.asked && !c.resting.due {
		c.mayRest()
	}
	c.resting.due = false
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
				c.mayNotRest()
				if !c.limit.enter(inHead, c.server.deadline(c.server.config.ReadHeaderTimeout)) {
					c.drop()
					return nil, false
				}
			}
		}
		if err := c.fill(); err != nil {
			if c.tired(err) {
				if c.resting.due {
					return nil, false
				}
				continue
			}
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
	c.resting.armed = false
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
	if x.limited || c.watch.Cut() == wire.ErrClientGone {
		_ = c.socket.SetWriteDeadline(time.Time{})
	}
	c.posted = x.Method == http.MethodPost
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
		if _, err := io.ReadFull(c.net, c.first[:]); err != nil {
			return err
		}
		c.in = newBuffer()
		c.in.b = append(c.in.b, c.first[0])
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

// farewell is how long a client that will ask nothing more may take to read, and
// any of an exchange that was cut.
const farewell = 5 * time.Second

// write sends two pieces to the client, who has to read them for anything to
// move. One that seems to be gone may have closed its own side only.
func (c *conn) write(p, q []byte) error {
	if c.watch.toClient(true) != nil {
		_ = c.socket.SetWriteDeadline(time.Now().Add(farewell))
	}
	err := c.writeBoth(p, q)
	c.watch.toClient(false)
	if err != nil {
		c.watch.interrupt(wire.ErrClientGone) // or whoever looks at the context takes it for another's fault
	}
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
