package upstream

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/socket"
)

const (
	// maxConns is how many connections the lane has at most. What comes while
	// they are all in use goes over the shared transport, which has as many again
	// where the origin speaks HTTP/1.1 alone: the rest waits in a queue.
	maxConns = 256
	// maxConnAge is how old a connection gets. New ones look the origin's
	// address up anew, so a change of it is noticed after that time at most.
	maxConnAge = 10 * time.Minute
	// maxDialing is how many connections the lane opens at the same time.
	maxDialing = 4
	// maxTries is on how many connections that hang up a request is tried before it
	// goes over the shared transport: it may be the request that they hang up on.
	maxTries = 3
	// dialPause is how long an origin that has refused a connection is not asked
	// for another one that nobody waits for.
	dialPause = time.Second
)

// A lane is a pool of HTTP/1.1 connections to one origin. The connection used
// last is used next, so that those a quiet time leaves over grow idle and go.
type lane struct {
	origin Origin
	config Config
	dialer *dialer
	tls    *tls.Config
	pause  time.Duration // after an attempt that failed

	mu      sync.Mutex
	idle    []*conn     // by the time since when they are idle
	open    int         // connections there are, in use or not
	dialing int         // and those that are being opened
	again   time.Time   // when another may be
	sweeper *time.Timer // nil while there is nothing to sweep
}

// take returns an idle connection, or nil.
func (l *lane) take() *conn {
	for now := time.Now(); ; {
		l.mu.Lock()
		n := len(l.idle)
		if n == 0 {
			l.mu.Unlock()
			return nil
		}
		c := l.idle[n-1]
		l.idle[n-1] = nil
		l.idle = l.idle[:n-1]
		l.mu.Unlock()
		if c.usable(now) {
			return c
		}
		c.close()
	}
}

func (l *lane) put(c *conn) {
	c.idle = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idle = append(l.idle, c)
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(l.sweepEvery(), l.sweep) // until nothing is idle
	}
}

// lost notes that a connection is closed.
func (l *lane) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

// sweepEvery is how late, at most, a connection that nobody uses is closed.
func (l *lane) sweepEvery() time.Duration {
	if limit := l.config.IdleConnTimeout; limit > 0 {
		return min(limit, maxConnAge) / 2
	}
	return maxConnAge / 2
}

// sweep closes the connections that have been idle, or open, for too long.
func (l *lane) sweep() {
	now := time.Now()
	var old []*conn
	l.mu.Lock()
	kept := l.idle[:0]
	for _, c := range l.idle {
		if c.stale(now) {
			old = append(old, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(l.idle[len(kept):])
	l.idle = kept
	l.sweeper = nil
	if len(kept) > 0 {
		l.sweeper = time.AfterFunc(l.sweepEvery(), l.sweep)
	}
	l.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// grow opens one more connection in the background, if there may be one more.
func (l *lane) grow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dialing >= maxDialing || l.open+l.dialing >= maxConns || time.Now().Before(l.again) {
		return
	}
	l.dialing++
	go func() { // ends within the time limits of dialing
		c, err := l.dial()
		l.mu.Lock()
		l.dialing--
		if err != nil {
			l.again = time.Now().Add(l.pause)
		}
		l.mu.Unlock()
		if err == nil { // else the shared transport meets the same error, and tells
			l.put(c)
		}
	}()
}

func (l *lane) dial() (*conn, error) {
	ctx := context.Background()
	raw, err := l.dialer.DialContext(ctx, "tcp", l.origin.addr())
	if err != nil {
		return nil, err
	}
	s, err := socket.New(raw)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	under := &link{Socket: s}
	if !l.origin.tls() {
		return newConn(l, under, under), nil
	}
	if l.config.TLSHandshakeTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.config.TLSHandshakeTimeout)
		defer cancel()
	}
	secure := tls.Client(under, l.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return newConn(l, under, secure), nil
}

func (l *lane) closeIdle() {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
