package upstream

import (
	"errors"
	"net"
	"sync"

	"github.com/clerkproxy/clerkproxy/internal/socket"
)

// A link is a socket under TLS, or without it, that can be asked what there is to
// be read, and told to collect what is written.
type link struct {
	*socket.Socket
	probing bool
	one     [1]byte

	mu     sync.Mutex
	corked bool
	out    []byte
}

// probe reports whether nothing can be read from c, which is the link itself or
// TLS over it, without waiting. Session tickets, which TLS reads by itself, are
// nothing.
func (l *link) probe(c net.Conn) (silent bool) {
	l.probing = true
	n, err := c.Read(l.one[:])
	l.probing = false
	return n == 0 && errors.Is(err, socket.ErrNothing)
}

// Read waits for something to read unless it is a probe that asks.
func (l *link) Read(b []byte) (int, error) {
	if l.probing {
		return l.ReadNow(b)
	}
	return l.Socket.Read(b)
}

// cork has what is written collected until flush, so that several records of TLS
// are sent at once.
func (l *link) cork() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.corked = true
}

// flush sends what was collected.
func (l *link) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flushLocked()
}

func (l *link) flushLocked() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.Socket.Write(l.out)
	l.out = l.out[:0]
	return err
}

// uncork sends what was collected, and from now on everything at once.
func (l *link) uncork() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.flushLocked()
	l.corked, l.out = false, nil
	return err
}

// Write implements [io.Writer]. TLS writes of its own accord, too, when the other
// side changes keys.
func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.corked {
		return l.Socket.Write(b)
	}
	l.out = append(l.out, b...)
	return len(b), nil
}
