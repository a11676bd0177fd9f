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
}

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
	if w.ending.Load() && status != http.StatusSwitchingProtocols {
		w.Header().Set("Connection", "close")
	}
}

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
