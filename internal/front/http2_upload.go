package front

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/net/http2"
)

// An upload is what has come of a request's body over HTTP/2. It is guarded by
// the connection's mu.
type upload struct {
	buf     []byte // not read yet
	total   int64  // of all that came
	unread  int64  // what the client may not send any more of uploadWindow
	taken   int64  // the part of unread of which it has not been told
	closed  bool   // nobody reads the rest
	expired bool   // its time is up
	timer   *time.Timer
}

var errClientGone = errors.New("the client has given up the request")

// takeData takes a piece of the body, of which length was sent.
func (st *stream) takeData(p []byte, length int64, last bool) error {
	b := &st.body
	if b.unread += length; b.unread > uploadWindow {
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeFlowControl}
	}
	b.total += int64(len(p))
	if st.hasLength && (b.total > st.length || last && b.total < st.length) {
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeProtocol}
	}
	b.taken += length - int64(len(p))
	if b.closed {
		st.conn.credit(int64(len(p)))
	} else {
		b.buf = append(b.buf, p...)
	}
	st.take(last)
	return nil
}

// takeTrailer takes the end of a request that has a trailer. What that says is
// not passed on.
func (st *stream) takeTrailer(f *http2.MetaHeadersFrame) error {
	switch {
	case st.received: // or the stream may be closed already, RFC 9113 §5.1
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	case !f.StreamEnded() || len(f.PseudoFields()) > 0 || st.hasLength && st.body.total < st.length:
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeProtocol}
	}
	st.take(true)
	return nil
}

func (st *stream) take(last bool) {
	st.received = st.received || last
	switch {
	case st.started:
		st.conn.changed.Broadcast()
	case st.received:
		st.start()
	}
}

// close lets go of what is there and what is still to come.
func (b *upload) close(c *conn2) {
	b.closed = true
	c.credit(int64(len(b.buf)))
	b.buf = nil
	if b.timer != nil {
		b.timer.Stop()
	}
	c.changed.Broadcast()
}

// An uploadReader is the body of a request.
type uploadReader struct {
	st        *stream
	continues bool // the client waits for word, RFC 9110 §10.1.1
}

func (r *uploadReader) Read(p []byte) (n int, err error) {
	if r.continues {
		r.continues = false
		r.st.sendContinue()
	}
	if len(p) == 0 {
		return 0, nil
	}
	c := r.st.conn
	c.mu.Lock()
	n, err = r.read(p)
	c.mu.Unlock()
	_ = c.control(nil)
	return n, err
}

func (r *uploadReader) read(p []byte) (int, error) {
	st, c, b := r.st, r.st.conn, &r.st.body
	for {
		switch {
		case b.closed:
			return 0, http.ErrBodyReadAfterClose
		case len(b.buf) > 0:
			n := copy(p, b.buf)
			if b.buf = b.buf[n:]; len(b.buf) == 0 {
				b.buf = nil
			}
			c.credit(int64(n))
			if b.taken += int64(n); b.taken >= uploadWindow/4 && !st.received {
				c.pending = appendWindowUpdate(c.pending, st.id, b.taken)
				b.unread, b.taken = b.unread-b.taken, 0
			}
			if st.received && len(b.buf) == 0 {
				return n, io.EOF
			}
			return n, nil
		case st.received:
			return 0, io.EOF
		case st.gone:
			return 0, errClientGone
		case b.expired:
			return 0, os.ErrDeadlineExceeded
		}
		c.changed.Wait()
	}
}

// Close ends a Read that is under way.
func (r *uploadReader) Close() error {
	c := r.st.conn
	c.mu.Lock()
	r.st.body.close(c)
	c.mu.Unlock()
	_ = c.control(nil)
	return nil
}

// sendContinue asks the client for the body, unless it has been answered already.
// The handler may be answering right now, and leaves st.out to nobody else.
func (st *stream) sendContinue() {
	c := st.conn
	c.writing.Lock()
	c.mu.Lock()
	wanted := !st.answered && !st.gone && !st.body.closed
	c.mu.Unlock()
	var err error
	if wanted {
		block := appendStatus(nil, http.StatusContinue)
		err = c.put(append(appendFrame(nil, http2.FrameHeaders, http2.FlagHeadersEndHeaders, st.id, len(block)), block...))
	}
	_ = c.release(err)
}

// limitBody implements [answer].
func (st *stream) limitBody(deadline time.Time) {
	c, b := st.conn, &st.body
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.expired = false
	if deadline.IsZero() || b.closed || st.received {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(deadline), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if b.timer == timer { // nobody has set another
			b.expired = true
			c.changed.Broadcast()
		}
	})
	b.timer = timer
}
