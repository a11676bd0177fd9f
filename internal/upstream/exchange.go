package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// ErrNoConnection is returned by [Transport.Exchange] when the lane has no idle
// connection that works. Nothing came of the request; RoundTrip finds another way.
var ErrNoConnection = errors.New("upstream: no idle connection")

// An Answer is what came of an exchange. It has to be closed, or turned into a
// Response.
type Answer struct {
	Status int
	// Fields are those of the header, as they came.
	Fields wire.Fields
	// Length is that of the body; negative for an answer that is not described
	// by a length and a list of fields. That one is [Answer.Response]'s to tell.
	Length int64

	conn *conn // nil once given back, closed, or Response's
	left int64 // of the body
}

// Exchange sends a request over an idle connection of the lane, and reads the
// head of the answer, whose fields it appends. It does what RoundTrip does, for
// requests that are whole and valid, at less cost. What limits the time it
// takes is x's: the connection is cut when x says so.
func (t *Transport) Exchange(req *wire.Request, x wire.Responder, fields wire.Fields) (Answer, error) {
	if t.lane == nil {
		return Answer{}, ErrNoConnection
	}
	for range maxTries {
		c := t.lane.take()
		if c == nil {
			break
		}
		x.Watch(t.lane.config.ResponseHeaderTimeout, c.cut)
		a, err := c.exchange(req, fields)
		if err == nil && a.Length < 0 {
			err = x.Cut() // which is why the head is not a whole one
		}
		if err == nil {
			t.requests.Add(1)
			t.answers.Add(1)
			return a, nil
		}
		x.Watch(0, nil)
		c.close()
		// As RoundTrip: the connection may have been closed while it was idle.
		if !c.silent || !c.hungUp(err) || !isSafe(req.Method) || x.Cut() != nil {
			t.requests.Add(1)
			return Answer{}, err
		}
	}
	return Answer{}, ErrNoConnection
}

func (c *conn) exchange(req *wire.Request, fields wire.Fields) (Answer, error) {
	c.out = appendExchange(c.out[:0], req)
	if err := c.send(); err != nil {
		return Answer{}, err
	}
	if _, err := c.br.Peek(1); err != nil {
		return Answer{}, fmt.Errorf("upstream: read: %w", err)
	}
	if req.Method != http.MethodHead {
		if h, ok := c.readHead(fields); ok {
			c.limit = -1
			return Answer{Status: h.status, Fields: h.fields, Length: h.length, conn: c, left: h.length}, nil
		}
	}
	return Answer{Length: -1, conn: c}, nil
}

// Response is an answer of negative length as net/http has it. From here on the
// context of req limits its time.
func (a *Answer) Response(req *http.Request) (*http.Response, error) {
	c := a.conn
	a.conn = nil
	stop := c.endWith(req.Context())
	resp, err := c.receive(req, httptrace.ContextClientTrace(req.Context()), stop)
	if err != nil {
		stop()
		c.close()
		if req.Context().Err() != nil {
			err = context.Cause(req.Context())
		}
		return nil, err
	}
	return resp, nil
}

// Read reads the body. At its end it returns io.EOF along with the last bytes.
func (a *Answer) Read(p []byte) (int, error) {
	b := lengthBody{a.conn.br, a.left}
	n, err := b.Read(p)
	a.left = b.left
	return n, err
}

// Buffered is how many bytes of the body have arrived and wait to be read.
func (a *Answer) Buffered() int { return a.conn.br.Buffered() }

// Cut ends what waits for the rest of the answer, from another goroutine.
func (a *Answer) Cut() func() { return a.conn.cut }

// Close gives the connection back if the whole body was read, or else closes it.
// Nothing may cut it any more.
func (a *Answer) Close() {
	c := a.conn
	if c == nil {
		return
	}
	a.conn = nil
	// Bytes that nobody asked for would be taken for the next answer.
	if a.left > 0 || c.br.Buffered() > 0 {
		c.close()
		return
	}
	c.lane.put(c)
}
