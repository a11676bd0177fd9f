package front

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A writer is the answer to an exchange as net/http's handlers write it. What it
// promises is what [http.ResponseWriter] promises.
type writer struct {
	x      *exchange
	header http.Header

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
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid status %d", status))
	}
	switch {
	case w.status != 0:
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
		if !wire.IsValue(value) {
			value = oneLine.Replace(value)
		}
		fields = append(fields, wire.Field{Name: name, Value: wire.TrimSpace(value)})
	}
	return fields
}

var oneLine = strings.NewReplacer("\n", " ", "\r", " ")

// isFraming reports whether a header is the server's to say.
func isFraming(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Connection":
		return true
	}
	return false
}

// allowsBody follows RFC 9110 §6.4.1.
func allowsBody(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !allowsBody(w.status) {
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
	if w.guess && allowsBody(w.status) {
		if sample := slices.Concat(w.waiting, next[:min(len(next), 512)]); len(sample) > 0 {
			w.fields = append(w.fields, wire.Field{Name: "Content-Type", Value: http.DetectContentType(sample)})
		}
	}
	if !allowsBody(w.status) && w.status != http.StatusNotModified {
		w.length = -1
	}
	w.x.answer.begin(w.status, w.fields, w.length, w.hasBody())
	w.send(w.waiting)
	w.waiting = nil
}

// hasBody reports whether what is written is sent.
func (w *writer) hasBody() bool { return w.x.Method != http.MethodHead && allowsBody(w.status) }

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
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	trailer := w.trailer()
	known := !w.begun && len(w.trailers) == 0 && len(trailer) == 0
	if known && w.length < 0 && allowsBody(w.status) && (w.x.Method != http.MethodHead || len(w.waiting) > 0) {
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
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
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
	if b, ok := w.x.request.Body.(interface{ setReadDeadline(time.Time) }); ok {
		b.setReadDeadline(deadline)
	}
	return nil // or the body is there
}

// SetWriteDeadline is for [http.ResponseController]. It is of this answer alone.
func (w *writer) SetWriteDeadline(deadline time.Time) error { return w.x.answer.limit(deadline) }
