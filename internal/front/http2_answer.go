package front

import (
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// begin implements [answer].
func (st *stream) begin(status int, fields wire.Fields, length int64, body bool) {
	b, start := st.startHeaders()
	b = appendFields2(appendStatus(b, status), fields)
	if length >= 0 {
		b = appendField2(b, "Content-Length", strconv.FormatInt(length, 10))
	}
	st.rest, st.sent = length, !body
	if st.expects {
		st.conn.mu.Lock()
		st.answered = true
		st.conn.mu.Unlock()
	}
	st.endHeaders(b, start, !body)
	if st.conn.server.draining.Load() {
		st.last()
	}
}

// hint implements [answer].
func (st *stream) hint(status int, fields wire.Fields) error {
	b, start := st.startHeaders()
	st.endHeaders(appendFields2(appendStatus(b, status), fields), start, false)
	return st.flush()
}

// startHeaders leaves room for the header of a frame behind what was kept back.
func (st *stream) startHeaders() (b []byte, start int) {
	if st.out == nil {
		st.out = newBuffer()
	}
	return append(st.out.b, make([]byte, frameHeader)...), len(st.out.b)
}

// endHeaders makes frames of the header that b holds from start on.
func (st *stream) endHeaders(b []byte, start int, last bool) {
	flags := http2.FlagHeadersEndHeaders
	if last {
		flags |= http2.FlagHeadersEndStream
	}
	block := b[start+frameHeader:]
	if len(block) <= maxFrame {
		appendFrame(b[:start], http2.FrameHeaders, flags, st.id, len(block)) // in its place
		st.out.b = b
		return
	}
	block = append([]byte(nil), block...)
	b = appendFrame(b[:start], http2.FrameHeaders, flags&^http2.FlagHeadersEndHeaders, st.id, maxFrame)
	b = append(b, block[:maxFrame]...)
	for block = block[maxFrame:]; len(block) > 0; {
		n, end := min(len(block), maxFrame), http2.Flags(0)
		if n == len(block) {
			end = http2.FlagContinuationEndHeaders
		}
		b = append(appendFrame(b, http2.FrameContinuation, end, st.id, n), block[:n]...)
		block = block[n:]
	}
	st.out.b = b
}

// send implements [answer].
func (st *stream) send(p []byte) error {
	for len(p) > 0 {
		room := 0
		if st.out != nil {
			room = min(cap(st.out.b)-len(st.out.b)-frameHeader, maxFrame)
		}
		if room < min(len(p), 1<<10) {
			if err := st.flush(); err != nil {
				return err
			}
			if st.out == nil {
				st.out = newBuffer()
			}
			room = min(cap(st.out.b)-frameHeader, maxFrame) // it grows with a long header
		}
		n, err := st.reserve(min(len(p), room))
		if err != nil {
			return err
		}
		flags := http2.Flags(0)
		if st.rest >= 0 {
			if st.rest -= int64(n); st.rest == 0 {
				flags, st.sent = http2.FlagDataEndStream, true
			}
		}
		st.out.b = append(appendFrame(st.out.b, http2.FrameData, flags, st.id, n), p[:n]...)
		p = p[n:]
	}
	return nil
}

// reserve waits until the client takes some of n bytes, RFC 9113 §5.2.
func (st *stream) reserve(n int) (int, error) {
	if got, err := st.tryReserve(n); got > 0 || err != nil {
		return got, err
	}
	// What was kept back is what the client may be waiting for.
	if err := st.flush(); err != nil {
		return 0, err
	}
	cause := st.own.toClient(true)
	defer st.own.toClient(false)
	if cause == wire.ErrClientGone {
		return 0, net.ErrClosed
	}
	if cause != nil && st.late == nil {
		_ = st.limit(time.Now().Add(farewell))
	}
	for {
		if got, err := st.tryReserve(n); got > 0 || err != nil {
			return got, err
		}
		st.awaitWindow()
	}
}

func (st *stream) tryReserve(n int) (int, error) {
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.gone || c.closed {
		return 0, net.ErrClosed
	}
	got := max(0, min(int64(n), c.window, st.window))
	c.window -= got
	st.window -= got
	return int(got), nil
}

// awaitWindow waits for a change of what tryReserve looks at.
func (st *stream) awaitWindow() {
	c := st.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	st.blocked = c.server.clock.Load()
	c.waiting++
	for !st.gone && !c.closed && min(c.window, st.window) <= 0 {
		c.changed.Wait()
	}
	c.waiting--
	st.blocked = 0
}

// stalls reports whether the client has let nothing of the answer be sent, for too
// long. A stream that could send may be waiting for others, as long as the client
// lets those send. conn.mu is held.
func (st *stream) stalls(now int64) bool {
	since, limit := st.blocked, st.conn.server.config.StallTimeout
	if since == 0 || limit <= 0 {
		return false
	}
	if st.window > 0 {
		since = max(since, st.conn.widened)
	}
	return now-since >= limit.Milliseconds()
}

// flush implements [answer].
func (st *stream) flush() error {
	if st.out == nil || len(st.out.b) == 0 {
		return nil
	}
	if st.own.toClient(true) == wire.ErrClientGone {
		return net.ErrClosed
	}
	err := st.conn.write(st.out.b)
	st.own.toClient(false)
	if err != nil {
		st.own.interrupt(wire.ErrClientGone)
	}
	st.out.b = st.out.b[:0]
	return err
}

// end implements [answer].
func (st *stream) end(trailer wire.Fields) error {
	switch {
	case st.sent:
	case len(trailer) > 0:
		b, start := st.startHeaders()
		st.endHeaders(appendFields2(b, trailer), start, true)
	default:
		if st.out == nil {
			st.out = newBuffer()
		}
		st.out.b = appendFrame(st.out.b, http2.FrameData, http2.FlagDataEndStream, st.id, 0)
	}
	st.sent = true
	return st.flush()
}

// last implements [answer].
func (st *stream) last() { st.conn.goAway(http2.ErrCodeNo) }

// limit implements [answer].
func (st *stream) limit(deadline time.Time) error {
	if st.late != nil {
		st.late.Stop()
		st.late = nil
	}
	if !deadline.IsZero() {
		st.late = time.AfterFunc(time.Until(deadline), st.giveUp)
	}
	return nil
}
