package clerkproxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// statusClientClosedRequest says in a log that the client went away; nobody is
// left to read it. nginx chose the number.
const statusClientClosedRequest = 499

// The causes for which a watchdog ends an exchange in which nothing moved for
// Config.IdleTimeout.
var (
	errUpstreamSilent = errors.New("the upstream was silent for too long")
	errClientSilent   = errors.New("the client was silent for too long")
)

// forward sends the request to the Frontend API, by send, and its answer to the
// client.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, x exchange, send func(*http.Request) (*http.Response, error)) {
	p.counts.inFlight.Add(1)
	defer p.counts.inFlight.Add(-1)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
		// The request may have had a Content-Length too, or, of HTTP/1.0, chunks
		// that are none there: a proxy in front may see its end elsewhere, and
		// net/http does not tell. Nothing more is read from such a connection,
		// RFC 9112 §6.1.
		w.Header().Set("Connection", "close")
	}

	var body *requestBody
	if hasBody(r) {
		body = &requestBody{body: r.Body, control: control}
		// The answer may begin before the upload ends. HTTP/2 always can.
		_ = control.EnableFullDuplex()
		// After this the transport, which may have given up or have an early
		// answer, reads no more.
		defer body.end()
		// A client may wait for the answer before it sends the rest.
		defer control.Flush()
	}
	var idle *watchdog
	if p.idle > 0 {
		idle = watch(p.idle, func(d *watchdog) {
			if body.interrupt() || d.toClient.Load() {
				cancel(errClientSilent)
			} else {
				cancel(errUpstreamSilent)
			}
			// There is a moment left to tell a client that does read.
			_ = control.SetWriteDeadline(time.Now().Add(5 * time.Second))
		})
		defer idle.stop()
	}

	var hints *informational
	if r.ProtoAtLeast(1, 1) { // HTTP/1.0 knows no informational answers, RFC 9110 §15.2
		hints = &informational{w: w}
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: hints.pass})
	}
	out := p.outbound(ctx, r, &x)
	if body != nil {
		body.watchdog = idle
		out.Body = body
	}

	start := time.Now()
	resp, err := send(out)
	hints.end()
	if err == nil {
		note(r.Context(), start, resp.Header.Get(traceID))
	} else {
		note(r.Context(), start, "")
	}
	if err == nil && (resp.StatusCode < 200 || resp.StatusCode > 999) {
		// A switch of protocols that nobody asked for, or no status at all.
		_ = resp.Body.Close()
		err = errors.New("the upstream's status is not one of an answer")
	}
	if err != nil {
		p.refuse(w, r, ctx, body, err)
		return
	}
	defer resp.Body.Close()

	idle.moved()
	p.inboundHeader(w.Header(), resp, out.URL, &x)
	if r.ProtoMajor == 1 && body.unfinished() {
		w.Header().Set("Connection", "close") // what is left of the body is nobody's
	}
	w.WriteHeader(resp.StatusCode)
	if err := copyBody(w, control, resp, idle); err != nil {
		if r.Context().Err() == nil {
			p.logCutShort(ctx, r.Method, r.URL.Path, reason(ctx, err))
		} else {
			p.counts.errors.clientGone.Add(1)
		}
		// The headers promised a whole body. Cutting the connection is the only
		// way left to say that this is not it.
		panic(http.ErrAbortHandler)
	}
	copyTrailer(w.Header(), control, resp)
}

// traceID is the header with the id by which Clerk's support finds a request.
const traceID = "X-Clerk-Trace-Id"

// note tells the access log, if there is one, of an answer of the upstream's.
func note(ctx context.Context, start time.Time, id string) {
	if record := wire.RecordOf(ctx); record != nil {
		record.Answered(time.Since(start), id)
	}
}

func (p *Proxy) logCutShort(ctx context.Context, method, path, reason string) {
	p.counts.errors.cut.Add(1)
	p.log.LogAttrs(ctx, slog.LevelWarn, "the answer of Clerk's Frontend API was cut short",
		slog.String("method", method), slog.String("path", path), slog.String("reason", reason))
}

// refuse answers a request that the Frontend API gave no answer to.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, ctx context.Context, body *requestBody, err error) {
	answer := errUpstream
	var timeout net.Error
	var tooLarge *http.MaxBytesError
	fault := body.failure()
	switch cause := context.Cause(ctx); {
	case cause == errClientSilent:
		answer = errClientStalled
	case cause == errUpstreamSilent:
		answer = errUpstreamTimeout
	case errors.As(fault, &tooLarge):
		answer = errClientTooLarge
	case errors.Is(fault, os.ErrDeadlineExceeded): // a server with a limit of its own
		answer = errClientStalled
	case context.Cause(r.Context()) == context.Canceled && !body.wasCut():
		p.counts.errors.clientGone.Add(1)
		w.WriteHeader(statusClientClosedRequest)
		return
	case r.Context().Err() != nil && context.Cause(r.Context()) != context.Canceled && !errors.Is(err, context.DeadlineExceeded):
		answer = errShutdown // the server has a cause of its own
	case fault != nil:
		answer = errClientBody
	case errors.As(err, &timeout) && timeout.Timeout():
		answer = errUpstreamTimeout
	}
	p.counts.errors.of(answer).Add(1)
	p.log.LogAttrs(ctx, slog.LevelWarn, "a request to Clerk's Frontend API failed",
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", answer.status), slog.String("reason", reason(ctx, err)))
	if r.ProtoMajor == 1 && (body.unfinished() || answer == errClientStalled || answer == errUpstreamTimeout) {
		w.Header().Set("Connection", "close") // it has deadlines on it, or what is left of the body
	}
	answer.write(w)
}

// reason describes an error for the log.
func reason(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause == errUpstreamSilent || cause == errClientSilent {
		return cause.Error()
	}
	return upstream.Explain(err)
}

// A watchdog calls a function when nothing has moved for a while. It does so at
// most once, and never after stop has returned. A nil watchdog does nothing.
type watchdog struct {
	after time.Duration
	// toClient is true while something is being written to the client, who
	// has to read it for anything to move.
	toClient atomic.Bool

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func watch(after time.Duration, silent func(*watchdog)) *watchdog {
	d := &watchdog{after: after}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(after, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.over {
			d.over = true
			silent(d)
		}
	})
	return d
}

func (d *watchdog) moved() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.timer.Reset(d.after)
	}
}

// writing notes that the client is to read next, or no longer.
func (d *watchdog) writing(toClient bool) {
	if d != nil {
		d.toClient.Store(toClient)
		d.moved()
	}
}

func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.timer.Stop()
}

// hasBody reports whether a request has, or may have, a body.
func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
}

// drain is how long net/http may take, after a request, to read what is left of
// its body. With it gone, closing the connection does not reset it under an
// answer that the client has yet to read.
const drain = time.Second

// A requestBody is the client's body as the transport reads it. It remembers
// how that went, so that a fault of the client's is not taken for one of the
// upstream's, and can be closed while it is being read, as transports do: the
// server's own body would have Close wait for the client.
//
// A nil requestBody is that of a request without a body.
type requestBody struct {
	body     io.Reader
	control  *http.ResponseController
	watchdog *watchdog

	mu      sync.Mutex
	reading bool // the client is to move next
	whole   bool
	closed  bool
	cut     bool // a Read was ended, for which net/http ends the context too
	ended   bool // the request is over: the connection may have another
	failed  error
}

func (b *requestBody) Read(buf []byte) (int, error) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.reading = true
	b.mu.Unlock()

	n, err := b.body.Read(buf)

	b.mu.Lock()
	b.reading = false
	switch {
	case err == io.EOF:
		b.whole = true
	case err != nil && !b.closed && b.failed == nil:
		b.failed = err
	}
	b.mu.Unlock()
	b.watchdog.moved()
	return n, err
}

// Close ends a Read that is under way: the upstream wants no more of the body.
func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed && b.reading && !b.ended {
		b.cut = true
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
	b.closed = true
	return nil
}

// interrupt ends a Read that waits for the client, and reports whether there
// was one.
func (b *requestBody) interrupt() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading && !b.ended {
		b.cut = true
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
		return true
	}
	return false
}

// wasCut reports whether a Read was ended before the client moved.
func (b *requestBody) wasCut() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut
}

// end leaves what there is of the body to the server.
func (b *requestBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.ended = true, true
	if !b.whole {
		_ = b.control.SetReadDeadline(time.Now().Add(drain))
	}
}

func (b *requestBody) unfinished() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.whole
}

// failure is the first error of reading the body.
func (b *requestBody) failure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// informational passes 1xx answers on, such as 103 Early Hints. The transport
// may call pass from a goroutine of its own, until the final answer is there. A
// nil informational is that of a client which knows none.
type informational struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	over bool
}

func (i *informational) pass(code int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || code == http.StatusContinue { // 100 is between the upstream and us
		return nil
	}
	h := i.w.Header()
	kept := maps.Clone(h)
	copyHeader(h, http.Header(header))
	i.w.WriteHeader(code)
	clear(h) // the final answer has its own
	maps.Copy(h, kept)
	return nil
}

func (i *informational) end() {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
