package server

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
)

// response is a ResponseWriter that notes the status and the length of the
// body, and ends the connection with the answer when the server is ending. Unwrap
// lets http.ResponseController find all that the writer below can do; Flush and
// Hijack are here because they too send a status.
type response struct {
	http.ResponseWriter
	status int // 0: nothing was sent
	bytes  int64
	ending *atomic.Bool
	last   bool   // of its connection
	hsts   string // the value of that header, unless there is another; empty: none
	altSvc string // the value of that header; empty: none of ours
}

// isChunked reports whether a request came in chunks. It may have had a length
// too, by which a proxy in front may see its end elsewhere: net/http does not
// tell. Nothing more is read from such a connection, RFC 9112 §6.1.
func isChunked(r *http.Request) bool { return r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 }

func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) WriteHeader(status int) {
	// Informational responses precede the answer; 101 is the answer.
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// begin takes note of the status that is about to be sent. The client may have
// sent its next request already; told so in time, it sends that elsewhere. Over
// HTTP/2 net/http says the same with GOAWAY.
func (w *response) begin(status int) {
	w.status = status
	if w.hsts != "" && !hasHSTS(w.Header()) {
		w.Header()[headerHSTS] = []string{w.hsts}
	}
	if w.altSvc != "" && !w.ending.Load() {
		w.Header()[headerAltSvc] = []string{w.altSvc}
	}
	if (w.last || w.ending.Load()) && status != http.StatusSwitchingProtocols {
		w.Header().Set("Connection", "close")
	}
}

// headerHSTS is that of RFC 6797 §6.1. Of several, browsers take the first.
const headerHSTS = "Strict-Transport-Security"

func hasHSTS(h http.Header) bool { return len(h[headerHSTS]) > 0 }

func (w *response) Write(p []byte) (int, error) {
	w.implicitOK()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher for handlers that ask for one.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *response) FlushError() error {
	w.implicitOK()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker. The only use of it in HTTP is to switch
// protocols.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

func (w *response) implicitOK() {
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
}
