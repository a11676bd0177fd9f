package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"syscall"
	"time"
)

// maxResponseHeader limits the headers of an answer, those of informational
// answers before it included.
const maxResponseHeader = 1 << 20

// readBuffer holds nearly every answer whole.
const readBuffer = 8 << 10

var (
	errHeaderTooLarge = errors.New("upstream: the answer's headers are too large")
	errStatus         = errors.New("upstream: the answer has no valid status")
)

// A conn is one HTTP/1.1 connection of the lane. The goroutine that has a
// request writes it and reads its answer; there is no other.
type conn struct {
	lane *lane
	link *link
	net  net.Conn // as it is written and read: TLS, if the origin has it
	br   *bufio.Reader
	out  []byte // the request as it is being put together
	cut  func() // ends what waits for the upstream, from another goroutine
	over bool   // it is closed

	since time.Time // of the dial
	idle  time.Time // since when nothing was asked

	limit  int64 // of what may still be read of headers; negative: none
	silent bool  // nothing of an answer has been read
}

func newConn(l *lane, link *link, c net.Conn) *conn {
	now := time.Now()
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	cn := &conn{lane: l, link: link, net: c, since: now, idle: now}
	cn.br = bufio.NewReaderSize(cn, readBuffer)
	cn.cut = func() { _ = link.Close() } // TLS would say goodbye first, and wait
	return cn
}

// Read is what the buffered reader reads from.
func (c *conn) Read(b []byte) (int, error) {
	if c.limit == 0 {
		return 0, errHeaderTooLarge
	}
	if c.limit > 0 && int64(len(b)) > c.limit {
		b = b[:c.limit]
	}
	n, err := c.net.Read(b)
	if c.limit > 0 {
		c.limit -= int64(n)
	}
	if n > 0 {
		c.silent = false
	}
	return n, err
}

// roundTrip sends a request and reads the headers of its answer. The body of the
// answer gives the connection back to the lane. On an error the connection is
// closed.
func (c *conn) roundTrip(req *http.Request, body []byte) (*http.Response, error) {
	ctx := req.Context()
	stop := c.endWith(ctx)
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c.net, Reused: c.since != c.idle, WasIdle: true, IdleTime: time.Since(c.idle)})
	}
	c.out = appendRequest(c.out[:0], req, body)
	err := c.send()
	if trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
	var resp *http.Response
	if err == nil {
		resp, err = c.receive(req, trace, stop)
	}
	if err != nil {
		stop()
		c.close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return resp, nil
}

// endWith has what waits for the upstream end with the context.
func (c *conn) endWith(ctx context.Context) (stop func() bool) {
	// The connection is the only thing that may block; closing its time window
	// is how a cancelled request leaves it.
	return context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
}

// send sends the request that has been put together.
func (c *conn) send() error {
	c.silent, c.limit = true, maxResponseHeader
	_, err := c.net.Write(c.out)
	if cap(c.out) > bufferedBody {
		c.out = nil // one large request is not worth keeping the room for
	}
	if err != nil {
		return fmt.Errorf("upstream: write: %w", err)
	}
	return nil
}

// receive reads the headers of the answer.
func (c *conn) receive(req *http.Request, trace *httptrace.ClientTrace, stop func() bool) (*http.Response, error) {
	ctx := req.Context()
	if err := c.readUntil(ctx, c.lane.config.ResponseHeaderTimeout); err != nil {
		return nil, err
	}
	resp, err := c.readHeader(req, trace)
	if err != nil {
		return nil, err
	}
	if err := c.readUntil(ctx, 0); err != nil {
		return nil, err
	}
	c.limit = -1

	b := &responseBody{body: resp.Body, conn: c, stop: stop, keep: c.keeps(req, resp)}
	if resp.Body == http.NoBody {
		b.done(b.keep)
		return resp, nil
	}
	resp.Body = b
	return resp, nil
}

// keeps reports whether the connection can carry another request after this one.
func (c *conn) keeps(req *http.Request, resp *http.Response) bool {
	return !resp.Close && !req.Close && resp.StatusCode != http.StatusSwitchingProtocols
}

// readUntil limits the time of what is read from here on; 0 is no limit. A
// deadline that was the sign of a cancelled request is not set aside unnoticed.
func (c *conn) readUntil(ctx context.Context, limit time.Duration) error {
	var deadline time.Time
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	_ = c.net.SetReadDeadline(deadline)
	return ctx.Err()
}

// readHeader reads the headers of the answer, and passes on those of
// informational answers before it.
func (c *conn) readHeader(req *http.Request, trace *httptrace.ClientTrace) (*http.Response, error) {
	if trace != nil && trace.GotFirstResponseByte != nil {
		if _, err := c.br.Peek(1); err == nil {
			trace.GotFirstResponseByte()
		}
	}
	for {
		resp, err := c.readResponse(req)
		if err != nil {
			return nil, fmt.Errorf("upstream: read: %w", err)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
		if resp.StatusCode < 100 {
			return nil, errStatus
		}
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
		}
	}
}

// hungUp reports whether an error of roundTrip means that the upstream had
// closed the connection, as it may at any time.
func (c *conn) hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// usable reports whether the connection can carry another request: it is not
// too old, the upstream has not closed it, and nothing is there to be read that
// would be taken for the next answer.
func (c *conn) usable(now time.Time) bool {
	return !c.stale(now) && c.link.probe(c.net)
}

// stale reports whether the connection has been idle, or open, for too long.
func (c *conn) stale(now time.Time) bool {
	limit := c.lane.config.IdleConnTimeout
	return limit > 0 && now.Sub(c.idle) >= limit || now.Sub(c.since) >= maxConnAge
}

func (c *conn) close() {
	if !c.over {
		c.over = true
		_ = c.net.Close()
		c.lane.lost()
	}
}

// responseBody gives the connection back when the body has been read to its end.
type responseBody struct {
	body io.ReadCloser
	conn *conn // nil once given back or closed
	stop func() bool
	keep bool
	// upload is that of the request, if its body may still be on its way.
	upload *upload
}

func (b *responseBody) Read(p []byte) (int, error) {
	if b.conn == nil {
		return b.body.Read(p) // at its end
	}
	n, err := b.body.Read(p)
	if err != nil {
		b.done(b.keep && err == io.EOF)
	}
	return n, err
}

// Buffered is how many bytes of the body have arrived and wait to be read.
func (b *responseBody) Buffered() int {
	if b.conn == nil {
		return 0
	}
	return b.conn.br.Buffered()
}

// Close closes the connection unless the body was read to its end: what is left
// of it may be endless.
func (b *responseBody) Close() error {
	b.done(false)
	return nil
}

func (b *responseBody) done(keep bool) {
	c := b.conn
	if c == nil {
		return
	}
	b.conn = nil
	if b.upload != nil && !b.upload.end() {
		keep = false
	}
	// Bytes that nobody asked for would be taken for the next answer.
	if !b.stop() || !keep || c.br.Buffered() > 0 {
		c.close()
		return
	}
	c.lane.put(c)
}
