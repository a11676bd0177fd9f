package front

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// An exchange is a request and its answer, on the way out.
type exchange struct {
	wire.Exchange
	*watch
	answer    answer
	plain     bool    // it is for Config.Exchanges
	hasLength bool    // the request says how long its body is
	left      int64   // of the body that Respond promised
	writer    *writer // the answer as net/http has it; nil: it is Respond's
	request   *http.Request
}

// An answer is what a protocol makes of one.
type answer interface {
	// begin writes the header. The length of the body is -1 if it is not known;
	// there may be one also if no body follows.
	begin(status int, fields wire.Fields, length int64, body bool)
	// hint sends an informational answer.
	hint(status int, fields wire.Fields) error
	// send sends bytes of the body, small ones along with what comes after them.
	send(p []byte) error
	// flush sends what was kept back.
	flush() error
	// end ends the answer. What was kept back is sent.
	end(trailer wire.Fields) error
	// last makes the answer the connection's last.
	last()
	// limit limits the time of sending, limitBody that until more of the
	// request's body is there.
	limit(deadline time.Time) error
	limitBody(deadline time.Time)
	// newRequest is the request as net/http has it, but for its body.
	newRequest() *http.Request
}

// serve has the exchange answered, and reports whether the answer is whole.
func (x *exchange) serve(s *Server) (whole bool) {
	defer func() {
		v := recover()
		if x.writer != nil {
			x.writer.end()
		}
		if v != nil {
			if v != http.ErrAbortHandler {
				s.log.Error("a handler panicked", slog.String("stack", string(debug.Stack())))
			}
			// What is there of an answer is sent, and ends without an end: so
			// nobody takes it for whole.
			_ = x.answer.flush()
			whole = false
		}
		// Who seemed to be gone and read the answer may have asked more before.
		if cause := x.watch.end(); cause != nil && cause != wire.ErrClientGone {
			whole = false
		}
	}()
	if !x.plain || s.config.Exchanges == nil || !s.config.Exchanges.ServeExchange(&x.Exchange) {
		w, r := x.HTTP()
		s.config.Handler.ServeHTTP(w, r)
	}
	if x.writer != nil {
		return x.writer.finish()
	}
	if x.left > 0 {
		panic(http.ErrAbortHandler)
	}
	return x.answer.end(nil) == nil
}

// Respond implements [wire.Responder].
func (x *exchange) Respond(status int, fields wire.Fields, length int64) {
	x.left = length
	if !fields.Has("Date") {
		fields = append(fields, wire.Field{Name: "Date", Value: x.server.date()})
	}
	x.answer.begin(status, fields, length, length > 0)
}

// Write implements [wire.Responder].
func (x *exchange) Write(p []byte) (int, error) {
	if int64(len(p)) > x.left {
		return 0, http.ErrContentLength
	}
	x.left -= int64(len(p))
	return len(p), x.answer.send(p)
}

// Flush implements [wire.Responder].
func (x *exchange) Flush() error { return x.answer.flush() }

// HTTP implements [wire.Responder].
func (x *exchange) HTTP() (http.ResponseWriter, *http.Request) {
	if x.writer == nil {
		x.writer = newWriter(x)
		x.request = x.answer.newRequest().WithContext(x.context(x.Context))
	}
	return x.writer, x.request
}

// newRequest is the request as net/http has it, of a body that is there. Nothing
// of it is shared with the next one's, as handlers may keep it.
func (x *exchange) newRequest(remote string) *http.Request {
	r := &http.Request{
		Method: x.Method, Host: x.Host, RequestURI: x.Target, RemoteAddr: remote, TLS: x.TLS,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.Fields.Header(), Body: http.NoBody, ContentLength: int64(len(x.Body)),
	}
	var err error
	if r.URL, err = url.ParseRequestURI(x.Target); err != nil {
		r.URL = &url.URL{Path: "/"} // it cannot be: the target is plain
	}
	if x.hasLength {
		r.Header["Content-Length"] = []string{strconv.Itoa(len(x.Body))}
	}
	if len(x.Body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(x.Body)))
	}
	return r
}

// date is the value of the field Date, which is made once a second.
func (s *Server) date() string {
	now := time.Now()
	made := s.made.Load()
	if made == nil || made.unix != now.Unix() {
		made = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		s.made.Store(made)
	}
	return made.text
}

type date struct {
	unix int64
	text string
}

// reset empties the exchange, but keeps the room that it has.
func (x *exchange) reset() {
	fields, onward, inbound := emptied(x.Fields), emptied(x.Onward.Fields), emptied(x.Inbound)
	*x = exchange{}
	x.Fields, x.Onward.Fields, x.Inbound = fields, onward, inbound
}

// maxFields is for how many fields room is kept.
const maxFields = 128

func emptied(fields wire.Fields) wire.Fields {
	if cap(fields) > maxFields {
		return nil
	}
	clear(fields[:cap(fields)])
	return fields[:0]
}
