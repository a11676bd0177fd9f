package clerkproxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
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

// forward sends the request to the Frontend API and its answer to the client.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, x exchange) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// The request may have had a Content-Length too, by which a proxy in
		// front may see its end elsewhere: net/http does not tell. Nothing more
		// is read from such a connection, RFC 9112 §6.1.
		w.Header().Set("Connection", "close")
	}

	var body *requestBody
	if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
		body = &requestBody{ReadCloser: r.Body}
	}
	var idle *watchdog
	if p.idle > 0 {
		idle = watch(p.idle, func() {
			if body.waiting() {
				cancel(errClientSilent)
			} else {
				cancel(errUpstreamSilent)
			}
			// What waits for the client would not notice. There is a moment
			// left to tell it.
			_ = control.SetReadDeadline(time.Unix(1, 0))
			_ = control.SetWriteDeadline(time.Now().Add(5 * time.Second))
		})
		defer idle.stop()
	}

	informational := &informational{w: w}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: informational.pass})
	out := p.outbound(ctx, r, &x)
	if body != nil {
		body.watchdog = idle
		out.Body = body
		// The answer may begin before the upload ends. HTTP/2 always can.
		_ = control.EnableFullDuplex()
		// The transport may still be reading when it has given up or has an
		// early answer; after Close it reads no more.
		defer body.Close()
		// A client may wait for the answer before it sends the rest.
		defer control.Flush()
	}

	resp, err := p.transport.RoundTrip(out)
	informational.end()
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
	w.WriteHeader(resp.StatusCode)
	if err := copyBody(w, control, resp, idle); err != nil {
		if r.Context().Err() == nil {
			p.log.LogAttrs(ctx, slog.LevelWarn, "the answer of Clerk's Frontend API was cut short",
				slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("reason", reason(ctx, err)))
		}
		// The headers promised a whole body. Cutting the connection is the only
		// way left to say that this is not it.
		panic(http.ErrAbortHandler)
	}
	copyTrailer(w.Header(), control, resp)
}

// refuse answers a request that the Frontend API gave no answer to.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, ctx context.Context, body *requestBody, err error) {
	answer := errUpstream
	var timeout net.Error
	var tooLarge *http.MaxBytesError
	switch cause := context.Cause(ctx); {
	case cause == errClientSilent:
		answer = errClientStalled
	case cause == errUpstreamSilent:
		answer = errUpstreamTimeout
	case context.Cause(r.Context()) == context.Canceled:
		w.WriteHeader(statusClientClosedRequest)
		return
	case errors.Is(r.Context().Err(), context.Canceled):
		answer = errShutdown // the server has a cause of its own
	case errors.As(body.failure(), &tooLarge):
		answer = errClientTooLarge
	case body.failure() != nil:
		answer = errClientBody
	case errors.As(err, &timeout) && timeout.Timeout():
		answer = errUpstreamTimeout
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "a request to Clerk's Frontend API failed",
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", answer.status), slog.String("reason", reason(ctx, err)))
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

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func watch(after time.Duration, silent func()) *watchdog {
	d := &watchdog{after: after}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(after, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.over {
			d.over = true
			silent()
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

func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	d.timer.Stop()
}

// requestBody remembers how reading the client's body went, so that a fault of
// the client's is not taken for one of the upstream's. A nil requestBody is
// that of a request without a body.
type requestBody struct {
	io.ReadCloser
	watchdog *watchdog
	reading  atomic.Bool
	failed   atomic.Pointer[error]
}

func (b *requestBody) Read(buf []byte) (int, error) {
	b.reading.Store(true)
	n, err := b.ReadCloser.Read(buf)
	if err != nil && err != io.EOF && err != http.ErrBodyReadAfterClose {
		b.failed.CompareAndSwap(nil, &err)
	}
	b.reading.Store(false)
	b.watchdog.moved()
	return n, err
}

// waiting reports whether a Read is under way: the client is to move next.
func (b *requestBody) waiting() bool { return b != nil && b.reading.Load() }

// failure is the first error of reading the body.
func (b *requestBody) failure() error {
	if b == nil {
		return nil
	}
	if err := b.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// informational passes 1xx answers on, such as 103 Early Hints. The transport
// may call pass from a goroutine of its own, until the final answer is there.
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
	copyHeader(h, http.Header(header))
	i.w.WriteHeader(code)
	for name := range header {
		delete(h, name) // or the final answer would have it too
	}
	return nil
}

func (i *informational) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
