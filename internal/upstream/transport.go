package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Transport is an [http.RoundTripper] for one origin.
//
// Most requests to the Frontend API are small, and a lone HTTP/1.1 connection
// carries those at the least cost when the goroutine that has the request also
// writes it and reads its answer: that is the lane, a pool of such connections.
// A large body has another goroutine to write it. What the lane cannot take goes
// to the shared transport of net/http, over HTTP/2 where the origin speaks it:
// bodies of unknown length, and whatever comes while the lane has no idle
// connection. The lane then grows in the background, so that a
// burst waits for no handshake, and steady traffic finds its way to the lane.
type Transport struct {
	origin Origin
	config Config
	dialer *dialer
	shared *http.Transport
	lane   *lane // nil where connections go through an egress proxy
	wide   wide

	requests, answers atomic.Uint64
}

// bufferedBody is the largest request body that is read whole before it is sent
// on: it goes out in one write with the headers. Sign-in forms are far smaller.
const bufferedBody = 16 << 10

// RoundTrip sends a request to the origin. Like net/http's transport, it tries
// again by itself when a pooled connection turns out to be closed and nothing
// can have come of the request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.requests.Add(1)
	resp, err := t.roundTrip(req)
	if err == nil {
		t.answers.Add(1)
	}
	return resp, err
}

func (t *Transport) roundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != t.origin.Scheme || req.URL.Host != t.origin.Host {
		closeBody(req)
		return nil, errors.New("upstream: the request is for another origin")
	}
	if req.Context().Err() != nil {
		closeBody(req)
		return nil, context.Cause(req.Context())
	}
	if t.lane == nil || hasBody(req) && !measured(req) {
		return t.wide.roundTrip(req)
	}
	if err := validate(req); err != nil {
		closeBody(req)
		return nil, err
	}
	var body []byte
	if hasBody(req) {
		if req.ContentLength > bufferedBody {
			return t.upload(req)
		}
		ahead := newPrefetch(req)
		var err error
		var ok bool
		if body, err, ok = ahead.wait(req.Context().Done()); !ok {
			late := *req
			late.Body = ahead
			return t.upload(&late)
		}
		closeBody(req)
		if err != nil {
			return nil, err
		}
	}
	for range maxTries {
		c := t.lane.take()
		if c == nil {
			t.lane.grow()
			break
		}
		resp, err := c.roundTrip(req, body)
		if err == nil {
			return resp, nil
		}
		// The connection may have been closed while it was idle.
		if !c.silent || !c.hungUp(err) || !isSafe(req.Method) || req.Context().Err() != nil {
			return nil, err
		}
	}
	return t.wide.roundTrip(withBody(req, body))
}

// upload sends a request whose body is sent as it comes.
func (t *Transport) upload(req *http.Request) (*http.Response, error) {
	c := t.lane.take()
	if c == nil {
		t.lane.grow()
		return t.wide.roundTrip(req)
	}
	return c.roundTripUpload(req)
}

// measured reports whether all that there is to say about a request's body is
// how long it is.
func measured(req *http.Request) bool {
	return req.ContentLength >= 0 && req.Header["Expect"] == nil && req.Trailer == nil
}

// isSafe reports whether a request may be sent twice without asking whom it is
// for: its method is safe, RFC 9110 §9.2.1.
func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && req.ContentLength != 0
}

func withBody(req *http.Request, body []byte) *http.Request {
	if body == nil {
		return req
	}
	again := *req
	again.Body = io.NopCloser(bytes.NewReader(body))
	again.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return &again
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// CloseIdleConnections closes the connections that carry no request.
func (t *Transport) CloseIdleConnections() {
	if t.lane != nil {
		t.lane.closeIdle()
	}
	t.wide.drop()
	t.shared.CloseIdleConnections()
}

// wide is the shared transport with one HTTP/2 connection kept at hand while
// there is traffic, so that the first requests after a quiet hour find it open.
type wide struct {
	origin    Origin
	transport *http.Transport
	timeout   time.Duration
	attentive time.Duration // for how long after a request a connection is kept at hand
	pause     time.Duration // between attempts to open one
	queue     queue         // for an origin without HTTP/2

	mu      sync.Mutex
	conn    *http.ClientConn
	since   time.Time // of conn
	dialing bool
	again   time.Time // when another may be opened
	off     bool      // the origin does not speak HTTP/2
	until   time.Time // when one need not be kept at hand any more
}

// roundTrip uses the connection at hand for requests that can be sent again:
// whether an error on it means that nothing came of a request, only the
// transport's own pool knows.
func (w *wide) roundTrip(req *http.Request) (*http.Response, error) {
	conn, single := w.reserve()
	if single {
		return w.queue.roundTrip(w.transport, req)
	}
	if conn == nil {
		return w.transport.RoundTrip(req)
	}
	if !isSafe(req.Method) || hasBody(req) {
		conn.Release()
		return w.transport.RoundTrip(req)
	}
	resp, err := conn.RoundTrip(req)
	if err == nil || req.Context().Err() != nil || isTimeout(err) {
		return resp, err
	}
	return w.transport.RoundTrip(req)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// reserve returns the connection at hand with room for one more request, or nil;
// single if there is none as the origin does not speak HTTP/2.
func (w *wide) reserve() (conn *http.ClientConn, single bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.until = now.Add(w.attentive)
	if w.conn == nil || now.Sub(w.since) >= maxConnAge {
		w.dial()
	}
	if w.conn == nil || w.conn.Reserve() != nil {
		return nil, w.off || w.origin.Scheme != "https"
	}
	return w.conn, false
}

// dial opens the connection in the background, in place of one that has got too
// old. An origin that refuses, or closes at once, is not asked again and again. mu
// is held.
func (w *wide) dial() {
	now := time.Now()
	if w.off || w.dialing || w.origin.Scheme != "https" || now.Before(w.again) {
		return
	}
	w.dialing, w.again = true, now.Add(w.pause)
	go func() { // ends within the time limit of a dial
		ctx, cancel := context.WithTimeout(context.Background(), w.timeout)
		defer cancel()
		w.dialed(w.transport.NewClientConn(ctx, w.origin.Scheme, w.origin.addr()))
	}()
}

// dialed keeps what came of dial.
func (w *wide) dialed(conn *http.ClientConn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialing = false
	if err != nil {
		return // a later request tries again
	}
	// HTTP/1.1 carries one request at a time. A connection that the origin has ended
	// already carries none, which does not tell what it speaks.
	available := conn.Available()
	if available <= 1 || time.Now().After(w.until) {
		w.off = available == 1
		_ = conn.Close()
		return
	}
	if w.conn != nil {
		go closeWhenIdle(w.conn) // its hook may ask for mu
	}
	w.conn, w.since = conn, time.Now()
	conn.SetStateHook(func(conn *http.ClientConn) {
		if conn.Err() != nil {
			go w.replace(conn) // the hook may run under RoundTrip
		}
	})
}

// replace opens another connection in place of one that is closed, as long as
// there has been traffic lately.
func (w *wide) replace(conn *http.ClientConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != conn {
		return
	}
	w.conn = nil
	if time.Now().Before(w.until) {
		w.dial()
	}
}

// drop lets go of the connection; it is closed when its last request is done, and
// one that is being opened at once.
func (w *wide) drop() {
	w.mu.Lock()
	conn := w.conn
	w.conn, w.until = nil, time.Time{}
	w.mu.Unlock()
	if conn != nil {
		closeWhenIdle(conn)
	}
}

// closeWhenIdle closes a connection when its last request is done.
func closeWhenIdle(conn *http.ClientConn) {
	idle := func(conn *http.ClientConn) {
		if conn.InFlight() == 0 {
			_ = conn.Close()
		}
	}
	conn.SetStateHook(idle)
	idle(conn)
}
