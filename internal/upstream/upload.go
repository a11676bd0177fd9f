package upstream

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// uploadBuffer is how much of a body is sent at once. TLS makes four records of
// it, which go out together.
const uploadBuffer = 64 << 10

var uploadBuffers = sync.Pool{New: func() any { return new([uploadBuffer]byte) }}

// An upload sends a body over a connection of the lane, while the answer, which
// may come before the end, is waited for.
type upload struct {
	conn   *conn
	body   io.ReadCloser
	length int64
	done   chan struct{} // closed when nothing more is sent

	// Once done.
	whole  bool  // the body was sent
	failed error // why not, if the body was at fault

	mu   sync.Mutex
	over bool // it is clear what came of the request
}

// roundTripUpload does what roundTrip does for a request whose body is sent as
// it comes.
func (c *conn) roundTripUpload(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	stop := c.endWith(ctx)
	c.silent, c.limit = true, maxResponseHeader
	c.out = appendUpload(c.out[:0], req)
	u := &upload{conn: c, body: req.Body, length: req.ContentLength, done: make(chan struct{})}
	go u.send(ctx, c.lane.config.ResponseHeaderTimeout) // ends with the body, when that is closed, or with the connection
	resp, err := c.readHeader(req, httptrace.ContextClientTrace(ctx))
	u.decided()
	if err == nil {
		err = c.readUntil(ctx, 0) // the answer may take its time from here on
	}
	if err != nil {
		stop()
		c.cut()
		_ = u.body.Close()
		<-u.done
		c.close()
		switch {
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case u.failed != nil:
			err = u.failed
		}
		return nil, err
	}
	c.limit = -1
	b := &responseBody{body: resp.Body, conn: c, stop: stop, upload: u, keep: c.keeps(req, resp)}
	if resp.Body == http.NoBody {
		b.done(b.keep)
		return resp, nil
	}
	resp.Body = b
	return resp, nil
}

// decided notes that it is clear what came of the request, whatever happens to
// its body from here on.
func (u *upload) decided() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
}

// end ends the upload, and reports whether it was over, with the whole body
// sent.
func (u *upload) end() bool {
	select {
	case <-u.done:
		return u.whole
	default:
		_ = u.body.Close()
		return false
	}
}

// send sends the request. When that is done, the headers of the answer have to
// come within a limit.
func (u *upload) send(ctx context.Context, limit time.Duration) {
	defer close(u.done)
	err := u.copy()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.over:
	case err != nil:
		u.failed = err
		u.conn.cut() // half a request is none
	case limit > 0:
		if u.conn.readUntil(ctx, limit) != nil {
			u.conn.cut() // the deadline was set in place of the one that ends a cancelled request
		}
	}
}

// copy returns an error of the body. One of the connection is found out by who
// reads from it: an upstream that refuses a body may have said why.
func (u *upload) copy() error {
	buf := uploadBuffers.Get().(*[uploadBuffer]byte)
	defer uploadBuffers.Put(buf)
	c := u.conn
	c.link.cork()
	if _, err := c.net.Write(c.out); err != nil {
		return nil
	}
	for left := u.length; ; {
		n, err := u.body.Read(buf[:])
		if left -= int64(n); left < 0 {
			return errBodyTooLong
		}
		if n > 0 || left == u.length {
			if _, err := c.net.Write(buf[:n]); err != nil {
				return nil
			}
			if c.link.flush() != nil {
				return nil
			}
		}
		switch {
		case err == io.EOF && left == 0:
			u.whole = c.link.uncork() == nil
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}
