package front

import (
	"sync/atomic"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// What a connection is about.
const (
	inHandshake = iota // of TLS
	idle               // between requests
	inHead             // of which something has arrived
	inExchange         // a request is being answered
	expired            // its time was up
	phases
)

// A limit is how long a connection may stay in its phase. It is one word, so
// that a connection changes phase without a timer or a lock, and the warden ends
// exactly what it has found to be overdue.
type limit struct{ word atomic.Int64 } // the deadline, 0 for none, times phases plus the phase

// enter begins a phase, unless the time of the one before is up.
func (l *limit) enter(phase, deadline int64) bool {
	return l.word.Swap(deadline*phases+phase)%phases != expired
}

// expire ends the phase if it is overdue.
func (l *limit) expire(now int64) (ended bool) {
	w := l.word.Load()
	deadline := w / phases
	return w%phases != expired && deadline > 0 && now >= deadline && l.word.CompareAndSwap(w, expired)
}

// endIdle ends the phase if it is the one between requests.
func (l *limit) endIdle() bool {
	w := l.word.Load()
	return w%phases == idle && l.word.CompareAndSwap(w, expired)
}

// tick is how often the warden looks, and so how late it can be.
const tick = 250 * time.Millisecond

// deadline is when a limit that begins now is up; 0 if it is none.
func (s *Server) deadline(limit time.Duration) int64 {
	if limit <= 0 {
		return 0
	}
	// The clock may be a tick behind.
	return s.clock.Load() + (limit + tick).Milliseconds()
}

// warden limits the time of all connections, and notices clients that go away
// while they wait. It ends with the server.
func (s *Server) warden() {
	started := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
		}
		now := 1 + time.Since(started).Milliseconds()
		s.clock.Store(now)
		s.mu.Lock()
		for c := range s.conns {
			c.look(now)
		}
		for c := range s.over {
			if c.socket.Closed() {
				delete(s.over, c)
			} else if c.stalls(now) {
				_ = c.socket.Close()
			}
		}
		s.mu.Unlock()
	}
}

// look ends what the connection is about, if it is overdue or its client has
// gone away.
func (c *conn) look(now int64) {
	if c.limit.expire(now) {
		c.leave()
		return
	}
	if c.stalls(now) {
		c.watch.interrupt(wire.ErrClientGone)
		_ = c.socket.Close() // what writes to it notices
		return
	}
	if h2 := c.h2.Load(); h2 != nil {
		h2.look(now)
		return
	}
	if c.watch.look(now) && c.socket.HungUp() {
		c.watch.interrupt(wire.ErrClientGone)
	}
}

// leave ends a connection on which nothing is asked. Over HTTP/2 a request may be
// on its way, and can be told that it was not read.
func (c *conn) leave() {
	h2 := c.h2.Load()
	if h2 == nil {
		_ = c.socket.Close() // what reads from it notices
		return
	}
	go h2.leave()                                              // ends when that is written, or the connection is closed
	time.AfterFunc(awayGrace, func() { _ = c.socket.Close() }) // most clients are quicker
}

// stalls reports whether the client has taken nothing, for too long, of what
// waits to be written. It is the warden's.
func (c *conn) stalls(now int64) bool {
	at := c.socket.Waiting()
	if at == 0 || at != c.stuck {
		c.stuck, c.since = at, now
		return false
	}
	limit := c.server.config.StallTimeout
	return limit > 0 && now-c.since >= limit.Milliseconds()
}
