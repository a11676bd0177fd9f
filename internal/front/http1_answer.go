package front

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// An exchange1 is one of HTTP/1.1.
type exchange1 struct {
	exchange
	conn    *conn
	size    int  // of the request, in what was read
	closes  bool // the connection, when this is over
	chunked bool
	limited bool    // the time of sending
	out     *buffer // of the answer; nil: nothing yet
}

var exchanges1 = sync.Pool{New: func() any { return new(exchange1) }}

func newExchange1(c *conn) *exchange1 {
	x := exchanges1.Get().(*exchange1)
	x.conn, x.plain = c, true
	x.watch, x.answer, x.Responder = &c.watch, x, &x.exchange
	x.Peer, x.TLS, x.Context = c.peer, c.tls, c.server.config.BaseContext
	return x
}

func (x *exchange1) free() {
	if x.out != nil {
		x.out.free()
	}
	x.reset()
	*x = exchange1{exchange: x.exchange}
	exchanges1.Put(x)
}

// begin implements [answer].
func (x *exchange1) begin(status int, fields wire.Fields, length int64, body bool) {
	b := x.appendHead(status, fields)
	switch {
	case length >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, "\r\n"...)
	case body:
		x.chunked = true
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	x.closes = x.closes || x.conn.server.draining.Load()
	if x.closes {
		b = append(b, "Connection: close\r\n"...)
	}
	x.out.b = append(b, "\r\n"...)
}

func (x *exchange1) appendHead(status int, fields wire.Fields) []byte {
	b := append(x.room(), "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(b, "status code "...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	b = append(b, "\r\n"...)
	for i := range fields {
		b = wire.AppendField(b, fields[i].Name, fields[i].Value)
	}
	return b
}

// room is what was kept back of the answer, to append to.
func (x *exchange1) room() []byte {
	if x.out == nil {
		x.out = newBuffer()
	}
	return x.out.b
}

// hint implements [answer].
func (x *exchange1) hint(status int, fields wire.Fields) error {
	x.out.b = append(x.appendHead(status, fields), "\r\n"...)
	return x.flush()
}

// send implements [answer].
func (x *exchange1) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if !x.chunked {
		return x.write(p)
	}
	x.out.b = append(strconv.AppendInt(x.room(), int64(len(p)), 16), "\r\n"...)
	if err := x.write(p); err != nil {
		return err
	}
	x.out.b = append(x.out.b, "\r\n"...)
	return nil
}

func (x *exchange1) write(p []byte) error {
	b := x.room()
	// Much of a body is worth a system call, and not worth copying.
	if len(p) < bufferSize/2 && len(b)+len(p) <= cap(b) {
		x.out.b = append(b, p...)
		return nil
	}
	err := x.conn.write(b, p)
	x.out.b = b[:0]
	return err
}

// flush implements [answer].
func (x *exchange1) flush() error {
	if x.out == nil || len(x.out.b) == 0 {
		return nil
	}
	err := x.conn.write(x.out.b, nil)
	x.out.b = x.out.b[:0]
	return err
}

// end implements [answer].
func (x *exchange1) end(trailer wire.Fields) error {
	if x.chunked {
		b := append(x.room(), "0\r\n"...)
		for i := range trailer {
			b = wire.AppendField(b, trailer[i].Name, trailer[i].Value)
		}
		x.out.b = append(b, "\r\n"...)
	}
	return x.flush()
}

// last implements [answer].
func (x *exchange1) last() { x.closes = true }

// limit implements [answer].
func (x *exchange1) limit(deadline time.Time) error {
	x.limited = true
	return x.conn.socket.SetWriteDeadline(deadline)
}

// limitBody implements [answer]. The body is there.
func (x *exchange1) limitBody(time.Time) {}

// newRequest implements [answer].
func (x *exchange1) newRequest() *http.Request {
	r := x.exchange.newRequest(x.conn.remote)
	r.Close = x.closes
	return r
}
