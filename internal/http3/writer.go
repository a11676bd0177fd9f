package http3

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// maxWaiting is how long an answer may be to be sent with its length if the
// handler does not say it, as with net/http.
const maxWaiting = 2 << 10

// A writer is the answer to a request. quic-go writes it; what is here is what
// quic-go leaves to handlers: what may not be in a header, an answer that is
// shorter than it says, and a header that stays what it was when it was sent.
type writer struct {
	conn    *conn
	under   http.ResponseWriter
	control *http.ResponseController // of under
	method  string
	header  http.Header
	body    *body // of the request; nil: there is none

	mu       sync.Mutex // held while it is decided what is sent of a header
	status   int        // 0: WriteHeader was not called
	length   int64      // of the body as the handler said; -1: it did not
	written  int64
	trailers []string

	// Until it is known how long the body is, or that it will not be known, what
	// is written of it waits. The header does too: a type is guessed from the body.
	begun   bool
	waiting []byte
	failed  bool        // to be sent
	limited atomic.Bool // in time, by the handler

	upgrade   *upgrade // what a WebSocket begins with; nil: it is none
	webSocket bool     // it has begun
}

func newWriter(c *conn, under http.ResponseWriter, asked *http.Request) *writer {
	return &writer{
		conn: c, under: under, control: http.NewResponseController(under),
		method: asked.Method, header: http.Header{}, length: -1,
	}
}

// Header implements [http.ResponseWriter].
func (w *writer) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	if 100 <= status && status < 200 {
		w.hint(status, w.header)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status != 0 || w.webSocket {
		return
	}
	w.status = status
	for _, line := range w.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(wire.TrimSpace(name)); wire.IsToken(name) && !wire.IsConnections(name) && name != "Content-Length" {
				w.trailers = append(w.trailers, name)
			}
		}
	}
	if values := w.header["Content-Length"]; len(values) > 0 && wire.IsDigits(values[0]) {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil {
			w.length = n
		}
	}
	h := w.under.Header()
	w.copyHeader(h)
	for _, name := range w.trailers {
		h.Add("Trailer", name)
	}
}

// begin sends the header, and what has waited of the body.
func (w *writer) begin(next []byte) error {
	if w.begun {
		return nil
	}
	w.begun = true
	h := w.under.Header()
	if _, typed := h["Content-Type"]; !typed && len(h["Content-Encoding"]) == 0 && wire.AllowsBody(w.status) {
		if sample := slices.Concat(w.waiting, next[:min(len(next), 512)]); len(sample) > 0 {
			h["Content-Type"] = []string{http.DetectContentType(sample)}
		}
	}
	if w.length >= 0 && (wire.AllowsBody(w.status) || w.status == http.StatusNotModified) {
		h["Content-Length"] = []string{strconv.FormatInt(w.length, 10)}
	}
	w.under.WriteHeader(w.status)
	if len(w.waiting) == 0 {
		return nil
	}
	_, err := w.send(w.waiting)
	w.waiting = nil
	return err
}

// hint sends an informational answer, but for a switch of protocols, which HTTP/3
// does not have, RFC 9114 §4.5.
func (w *writer) hint(status int, header http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status == http.StatusSwitchingProtocols {
		panic(http.ErrAbortHandler)
	}
	if w.status != 0 {
		return
	}
	h := w.under.Header()
	if header != nil {
		w.copyHeader(h)
	}
	w.under.WriteHeader(status)
	clear(h)
}

// copyHeader copies the header as it is now, but for what is not HTTP/3's, what
// says how long the body is, and trailers. w.mu is held.
func (w *writer) copyHeader(to http.Header) {
	trailer := map[string]bool{"Content-Length": true, "Trailer": true}
	for _, name := range w.trailers {
		trailer[name] = true
	}
	for name, values := range w.header {
		if trailer[name] || wire.IsConnections(name) || strings.HasPrefix(name, http.TrailerPrefix) || !wire.IsToken(name) {
			continue
		}
		to[name] = clean(values)
	}
}

// clean makes of each value one that fits into a line.
func clean(values []string) []string {
	var cleaned []string // nil says to quic-go, as to net/http: none, whatever the default
	for _, value := range values {
		cleaned = append(cleaned, wire.TrimSpace(wire.OneLine(value)))
	}
	return cleaned
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(p []byte) (int, error) {
	w.implicitOK()
	switch {
	case w.webSocket:
		return 0, http.ErrHijacked
	case !wire.AllowsBody(w.status):
		return 0, http.ErrBodyNotAllowed
	}
	if w.length >= 0 && w.written+int64(len(p)) > w.length {
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if !w.begun && w.length < 0 && len(w.waiting)+len(p) <= maxWaiting {
		w.waiting = append(w.waiting, p...)
		return len(p), nil
	}
	if err := w.begin(p); err != nil {
		return 0, err
	}
	return w.send(p)
}

// piece is how much of an answer a client may take StallTimeout over.
const piece = 16 << 10

func (w *writer) send(p []byte) (sent int, err error) {
	for err == nil && sent < len(p) {
		w.extend()
		var n int
		n, err = w.under.Write(p[sent:min(len(p), sent+piece)])
		sent += n
	}
	w.failed = w.failed || err != nil
	return sent, err
}

// extend gives the client StallTimeout again. The time of the handler, while
// quic-go keeps something back, is not the client's.
func (w *writer) extend() {
	if limit := w.conn.server.config.StallTimeout; limit > 0 && !w.limited.Load() {
		_ = w.control.SetWriteDeadline(time.Now().Add(limit))
	}
}

func (w *writer) implicitOK() {
	if w.status == 0 && !w.webSocket {
		w.WriteHeader(http.StatusOK)
	}
}

// finish readies the answer for quic-go to end it, and reports whether it is whole.
func (w *writer) finish() bool {
	if w.webSocket {
		return true // its stream is a connection's
	}
	w.implicitOK()
	if !w.begun && w.length < 0 && wire.AllowsBody(w.status) && (w.method != http.MethodHead || len(w.waiting) > 0) {
		w.length = int64(len(w.waiting))
	}
	if w.begin(nil) != nil || w.failed {
		return false
	}
	w.extend()
	if w.length < 0 && w.control.Flush() != nil { // or quic-go makes up a length
		return false
	}
	if w.length >= 0 && w.written != w.length && w.method != http.MethodHead && wire.AllowsBody(w.status) {
		_ = w.control.Flush() // what there is
		return false
	}
	h := w.under.Header()
	for _, name := range w.trailers {
		h[name] = clean(w.header[name])
	}
	for name, values := range w.header {
		if late, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && wire.IsToken(late) {
			h[name] = clean(values)
		}
	}
	return true
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (w *writer) FlushError() error {
	if w.webSocket {
		return http.ErrHijacked
	}
	w.implicitOK()
	if err := w.begin(nil); err != nil {
		return err
	}
	w.extend()
	return w.control.Flush()
}

// EnableFullDuplex is for [http.ResponseController]: an answer is in nobody's
// way here.
func (w *writer) EnableFullDuplex() error { return nil }

// SetReadDeadline is for [http.ResponseController].
func (w *writer) SetReadDeadline(deadline time.Time) error {
	if w.body == nil {
		return nil
	}
	return w.body.setReadDeadline(deadline)
}

// SetWriteDeadline is for [http.ResponseController].
func (w *writer) SetWriteDeadline(deadline time.Time) error {
	w.limited.Store(true)
	return w.control.SetWriteDeadline(deadline)
}
