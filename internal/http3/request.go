package http3

import (
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// patience is how long the beginning of a body may take whose length is not said,
// or its end if there is none, until it counts as one that is being made.
const patience = time.Second

// request makes a request what it is over HTTP/1.1 and HTTP/2. It is not ok if it
// is malformed, RFC 9114 §4.1.2.
func (w *writer) request(r *http.Request) (_ *http.Request, ok bool) {
	if r.Host == "" || !httpguts.ValidHostHeader(r.Host) || !isTarget(r) {
		return nil, false
	}
	delete(r.Header, "Host")
	r.Trailer = nil // not passed on
	for _, values := range r.Header {
		for i, value := range values {
			values[i] = wire.TrimSpace(value)
		}
	}
	if r.RequestURI == "*" {
		w.WriteHeader(http.StatusOK) // what net/http's server says
	}
	if isExtended(r) {
		w.openWebSocket(r)
		return r, true
	}
	if r.ContentLength == 0 || r.Method == http.MethodConnect {
		r.Body, r.ContentLength = http.NoBody, 0
		return r, true
	}
	b := &body{under: r.Body, w: w}
	b.continues = strings.EqualFold(r.Header.Get("Expect"), "100-continue")
	delete(r.Header, "Expect")
	r.Body, w.body = b, b
	if r.ContentLength < 0 && !b.continues && b.isNone() {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	return r, true
}

// isTarget reports whether the target of a request is one that HTTP/1.1 could have.
// quic-go has looked at who may ask for an asterisk.
func isTarget(r *http.Request) bool {
	if r.Method == http.MethodConnect && !isExtended(r) {
		return wire.IsAuthority(r.Host)
	}
	return r.RequestURI == "*" || wire.IsTarget(r.RequestURI)
}

// A body is that of a request.
type body struct {
	under io.Reader
	w     *writer

	continues bool // the client waits for word, RFC 9110 §10.1.1
	begun     chan struct{}
	beginning []byte // what isNone has read, and
	err       error  // what then; once begun is closed

	mu     sync.Mutex
	closed bool
}

// isNone reports whether there is no body. HTTP/3 does not say so in the header,
// but by the end of the stream, which most often is there along with it.
func (b *body) isNone() bool {
	b.begun = make(chan struct{})
	go func() { // ends with the stream, if not before
		defer close(b.begun)
		buf := make([]byte, 512)
		n, err := b.under.Read(buf)
		b.beginning, b.err = buf[:n], err
	}()
	late := time.NewTimer(b.w.conn.server.patience)
	defer late.Stop()
	select {
	case <-b.begun:
		return len(b.beginning) == 0 && b.err == io.EOF
	case <-late.C:
		return false
	}
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (n int, err error) {
	if b.isClosed() {
		return 0, http.ErrBodyReadAfterClose
	}
	switch {
	case len(p) == 0:
		return 0, nil
	case b.continues:
		b.continues = false
		b.w.hint(http.StatusContinue, nil)
	case b.begun != nil:
		<-b.begun
		n = copy(p, b.beginning)
		if b.beginning = b.beginning[n:]; len(b.beginning) > 0 {
			return n, nil
		}
		if n > 0 || b.err != nil {
			return n, b.err
		}
		b.begun = nil
	}
	n, err = b.under.Read(p)
	if err != nil && b.isClosed() {
		err = http.ErrBodyReadAfterClose
	}
	return n, err
}

// Close ends a Read that is under way. quic-go's own would tell the client that
// its request was given up, whatever the answer is.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		_ = b.w.control.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

func (b *body) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// setReadDeadline does nothing any more once the body is closed.
func (b *body) setReadDeadline(deadline time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return os.ErrClosed
	}
	return b.w.control.SetReadDeadline(deadline)
}
