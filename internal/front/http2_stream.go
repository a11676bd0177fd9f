package front

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// smallBody is the longest body that is waited for, so that it can be sent on in
// one piece.
const smallBody = 16 << 10

// A stream is an exchange over HTTP/2.
type stream struct {
	exchange
	own     watch
	conn    *conn2
	id      uint32
	opened  int64 // by the server's clock
	length  int64 // of the body, as the request says; -1: it does not
	tooBig  bool  // the header
	expects bool  // the client waits for word before it sends the body, RFC 9110 §10.1.1

	out  *buffer // of the answer; nil: nothing is kept back
	rest int64   // of the answer's body; -1: unknown
	sent bool    // the whole answer
	late *time.Timer

	// Guarded by conn.mu.
	started  bool  // it is being answered
	answered bool  // its answer has begun; noted only if the client waits for word
	received bool  // the whole request
	gone     bool  // nobody reads the answer
	reset    bool  // it was ended, and the other side knows
	blocked  int64 // since when there is no window, by the server's clock; 0: there is
	window   int64
	body     upload
}

// newStream makes a stream of a request's header. It is not ok if the request is
// malformed. c.mu is held.
func (c *conn2) newStream(f *http2.MetaHeadersFrame) (st *stream, ok bool) {
	st = &stream{conn: c, id: f.StreamID, opened: c.server.clock.Load(), length: -1, window: c.initialWindow, received: f.StreamEnded()}
	st.own.server, st.own.unblock = c.server, st.giveUp
	st.own.begin()
	st.watch, st.answer, st.Responder = &st.own, st, &st.exchange
	st.Peer, st.TLS, st.Context = c.peer, c.tls, c.server.config.BaseContext
	st.tooBig = f.Truncated
	if !st.readPseudo(f) || !st.readFields(f) || st.received && st.length > 0 {
		return nil, false
	}
	return st, true
}

// readPseudo reads what HTTP/1.1 has in the first line, RFC 9113 §8.3.1.
func (st *stream) readPseudo(f *http2.MetaHeadersFrame) bool {
	scheme := f.PseudoValue("scheme")
	st.Method, st.Target, st.Host = f.PseudoValue("method"), f.PseudoValue("path"), f.PseudoValue("authority")
	switch {
	case st.tooBig:
		return true
	case !wire.IsToken(st.Method) || !httpguts.ValidHostHeader(st.Host) || slices.ContainsFunc(f.PseudoFields(), isProtocol):
		return false
	case st.Method == http.MethodConnect: // §8.5
		return st.Target == "" && scheme == "" && wire.IsAuthority(st.Host)
	case scheme != "https" && scheme != "http":
		return false
	case st.Target == "*":
		return st.Method == http.MethodOptions
	}
	return wire.IsTarget(st.Target)
}

// isProtocol reports whether a field is that of RFC 8441, which is not offered.
func isProtocol(f hpack.HeaderField) bool { return f.Name == ":protocol" }

// readFields reads the others, RFC 9113 §8.2.
func (st *stream) readFields(f *http2.MetaHeadersFrame) bool {
	regular := f.RegularFields()
	st.Fields = make(wire.Fields, 0, len(regular))
	cookie, crumbs := -1, []string(nil)
	for i := range regular {
		name, value := canonical(regular[i].Name), wire.TrimSpace(regular[i].Value)
		switch {
		case wire.IsConnections(name), name == "Te" && value != "trailers":
			return false
		case name == "Host":
			if st.Host != "" && !strings.EqualFold(st.Host, value) || !httpguts.ValidHostHeader(value) {
				return false
			}
			st.Host = value
			continue
		case name == "Content-Length":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || !wire.IsDigits(value) || st.hasLength && st.length != n {
				return false
			}
			st.length, st.hasLength = n, true
			continue
		case name == "Cookie" && cookie >= 0:
			crumbs = append(crumbs, value)
			continue
		case name == "Cookie":
			cookie = len(st.Fields)
		}
		st.Fields = append(st.Fields, wire.Field{Name: name, Value: value})
	}
	if crumbs != nil { // §8.2.3
		all := &st.Fields[cookie].Value
		*all += "; " + strings.Join(crumbs, "; ")
	}
	return true
}

// waits reports whether the rest of the request is waited for.
func (st *stream) waits() bool {
	return !st.received && 0 <= st.length && st.length <= smallBody && !st.tooBig && !st.Fields.Has("Expect")
}

// start has the request answered. conn.mu is held.
func (st *stream) start() {
	st.started = true
	st.conn.active++
	if st.received && len(st.body.buf) <= smallBody {
		st.Body = st.body.buf
		st.conn.credit(int64(len(st.Body)))
		st.body.buf = nil
	}
	st.plain = st.received && isPlainTarget(st.Target) && isPlainHost(st.Host) && !st.Fields.Has("Expect")
	st.conn.server.work(st)
}

// run answers the request.
func (st *stream) run() {
	switch {
	case st.tooBig:
		st.answerShort(http.StatusRequestHeaderFieldsTooLarge)
	case st.Target == "*": // what net/http's server says
		st.answerShort(http.StatusOK)
	default:
		st.exchange.serve(st.conn.server)
	}
	if st.late != nil {
		st.late.Stop()
	}
	ended := st.sent
	if st.out != nil {
		ended = ended && len(st.out.b) == 0
		st.out.free()
		st.out = nil
	}
	st.finish(ended)
}

// answerShort answers with a status and nothing more.
func (st *stream) answerShort(status int) {
	st.Respond(status, nil, 0)
	_ = st.end(nil)
	_ = st.own.end()
}

// finish ends the stream, when the handler has returned. Ended is whether the end
// of the answer was sent.
func (st *stream) finish(ended bool) {
	c := st.conn
	c.mu.Lock()
	c.active--
	switch {
	case st.reset:
	case !ended:
		c.noteReset(st.id)
		c.pending = appendReset(c.pending, st.id, http2.ErrCodeInternal)
	case !st.received: // RFC 9113 §8.1
		c.noteReset(st.id)
		c.pending = appendReset(c.pending, st.id, http2.ErrCodeNo)
	}
	st.gone = true
	st.body.close(c)
	c.forget(st)
	c.mu.Unlock()
	_ = c.control(nil)
}

// abort ends the stream when the client wants no answer, or can have none.
func (st *stream) abort() {
	st.own.interrupt(wire.ErrClientGone)
	st.giveUp()
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if !st.started {
		st.body.close(c)
		c.forget(st)
	}
}

// giveUp ends what waits for the client.
func (st *stream) giveUp() {
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	st.gone = true
	st.conn.changed.Broadcast()
}

// newRequest implements [answer].
func (st *stream) newRequest() *http.Request {
	var r *http.Request
	if st.Method == http.MethodConnect {
		r = &http.Request{
			Method: st.Method, Host: st.Host, RequestURI: st.Host, URL: &url.URL{Host: st.Host},
			RemoteAddr: st.conn.remote, TLS: st.TLS, Header: st.Fields.Header(), Body: http.NoBody,
		}
	} else {
		r = st.exchange.newRequest(st.conn.remote)
	}
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	st.conn.mu.Lock()
	defer st.conn.mu.Unlock()
	if !st.received || len(st.body.buf) > 0 {
		st.expects = strings.EqualFold(r.Header.Get("Expect"), "100-continue")
		r.Body, r.ContentLength = &uploadReader{st: st, continues: st.expects}, st.length
		delete(r.Header, "Expect")
		if st.hasLength {
			r.Header["Content-Length"] = []string{strconv.FormatInt(st.length, 10)}
		}
	}
	return r
}
