package front

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A writer is the answer to an exchange as net/http's handlers write it. What it
// promises is what [http.ResponseWriter] promises.
//
// A handler may leave goroutines behind that still have it. What they want of it
// is refused once the handler has returned: the exchange is another one by then.
type writer struct {
	x      *exchange
	header http.Header

	mu     sync.Mutex // held by whoever writes
	limits sync.Mutex // held by whoever limits the time, also while another one writes
	over   bool       // the handler has returned. Guarded by either, set under both

	status   int         // 0: WriteHeader was not called
	fields   wire.Fields // as they were then
	length   int64       // of the body as the handler said; -1: it did not
	guess    bool        // the body's type
	trailers []string
	written  int64

	// Until it is known how long the body is, or that it will not be known, what
	// is written of it waits.
	begun   bool
	waiting []byte
	failed  error // of sending
}

// maxWaiting is how long an answer may be to be sent with its length if the
// handler does not say it, as with net/http.
const maxWaiting = 2 << 10

func newWriter(x *exchange) *writer {
	return &writer{x: x, header: http.Header{}, length: -1}
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *writer) writeHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid status %d", status))
	}
	switch {
	case w.status != 0 || w.over:
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.note(w.x.answer.hint(status, w.snapshot()))
		return
	}
	w.status = status
	h := w.header
	if lengths := h["Content-Length"]; len(lengths) > 0 && wire.IsDigits(lengths[0]) {
		if n, err := strconv.ParseInt(lengths[0], 10, 64); err == nil {
			w.length = n
		}
	}
	if strings.EqualFold(h.Get("Connection"), "close") {
		w.x.answer.last()
	}
	_, typed := h["Content-Type"]
	w.guess = !typed && len(h["Content-Encoding"]) == 0
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(wire.TrimSpace(name))
			if wire.IsToken(name) && !isFraming(name) {
				w.trailers = append(w.trailers, name)
			}
		}
	}
	w.fields = w.snapshot()
	if _, dated := h["Date"]; !dated {
		w.fields = append(w.fields, wire.Field{Name: "Date", Value: w.x.server.date()})
	}
}

// snapshot is the header as it is now, but for what says how the message is
// framed, and for trailers.
func (w *writer) snapshot() wire.Fields {
	fields := make(wire.Fields, 0, len(w.header)+2)
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if isFraming(name) || strings.HasPrefix(name, http.TrailerPrefix) || slices.Contains(w.trailers, name) {
			continue
		}
		fields = appendValues(fields, name, w.header[name])
	}
	return fields
}

func appendValues(fields wire.Fields, name string, values []string) wire.Fields {
	if !wire.IsToken(name) {
		return fields
	}
	for _, value := range values {
		fields = append(fields, wire.Field{Name: name, Value: wire.TrimSpace(wire.OneLine(value))})
	}
	return fields
}

// isFraming reports whether a header is the server's to say.
func isFraming(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Connection":
		return true
	}
	return false
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return 0, errOver
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	if !wire.AllowsBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	switch {
	case w.failed != nil:
		return 0, w.failed
	case w.length >= 0 && w.written > w.length:
		return 0, http.ErrContentLength
	case !w.begun && w.length < 0 && len(w.waiting)+len(p) <= maxWaiting:
		w.waiting = append(w.waiting, p...)
		return len(p), nil
	}
	w.begin(p)
	w.send(p)
	if w.failed != nil {
		return 0, w.failed
	}
	return len(p), nil
}

// begin sends the header, and what has waited of the body.
func (w *writer) begin(next []byte) {
	if w.begun {
		return
	}
	w.begun = true
	if w.guess && wire.AllowsBody(w.status) {
		if sample := slices.Concat(w.waiting, next[:min(len(next), 512)]); len(sample) > 0 {
			w.fields = append(w.fields, wire.Field{Name: "Content-Type", Value: http.DetectContentType(sample)})
		}
	}
	if !wire.AllowsBody(w.status) && w.status != http.StatusNotModified {
		w.length = -1
	}
	w.x.answer.begin(w.status, w.fields, w.length, w.hasBody())
	w.send(w.waiting)
	w.waiting = nil
}

// hasBody reports whether what is written is sent.
func (w *writer) hasBody() bool { return w.x.Method != http.MethodHead && wire.AllowsBody(w.status) }

func (w *writer) send(p []byte) {
	if w.hasBody() && len(p) > 0 {
		w.note(w.x.answer.send(p))
	}
}

func (w *writer) note(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// finish ends the answer, and reports whether it is whole.
func (w *writer) finish() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	w.endLocked()
	trailer := w.trailer()
	known := !w.begun && len(w.trailers) == 0 && len(trailer) == 0
	if known && w.length < 0 && wire.AllowsBody(w.status) && (w.x.Method != http.MethodHead || len(w.waiting) > 0) {
		w.length = int64(len(w.waiting))
	}
	w.begin(nil)
	if w.failed == nil && w.hasBody() && w.length >= 0 && w.written != w.length {
		_ = w.x.answer.flush()
		return false
	}
	w.note(w.x.answer.end(trailer))
	return w.failed == nil
}

// errOver is what is said to those who write after the handler has returned.
var errOver = errors.New("front: the handler has returned")

// end refuses all that is still asked of the writer, and waits for what is under
// way.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked()
}

func (w *writer) endLocked() {
	w.limits.Lock()
	defer w.limits.Unlock()
	w.over = true
}

// trailer is what the header holds of it when the handler has returned.
func (w *writer) trailer() (fields wire.Fields) {
	for _, name := range w.trailers {
		fields = appendValues(fields, name, w.header[name])
	}
	for _, name := range slices.Sorted(maps.Keys(w.header)) {
		if late, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			fields = appendValues(fields, late, w.header[name])
		}
	}
	return fields
}

// Flush implements [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (w *writer) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return errOver
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	w.begin(nil)
	w.note(w.x.answer.flush())
	return w.failed
}

// EnableFullDuplex is for [http.ResponseController]: an answer is in nobody's
// way here.
func (w *writer) EnableFullDuplex() error { return nil }

// SetReadDeadline is for [http.ResponseController].
func (w *writer) SetReadDeadline(deadline time.Time) error {
	w.limits.Lock()
	defer w.limits.Unlock()
	if w.over {
		return errOver
	}
	w.x.answer.limitBody(deadline)
	return nil
}

// SetWriteDeadline is for [http.ResponseController]. It is of this answer alone.
func (w *writer) SetWriteDeadline(deadline time.Time) error {
	w.limits.Lock()
	defer w.limits.Unlock()
	if w.over {
		return errOver
	}
	return w.x.answer.limit(deadline)
}
