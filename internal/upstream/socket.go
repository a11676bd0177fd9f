package upstream

import (
	"errors"
	"net"
	"sync"
)

// corking is what a socket collects of what is written.
type corking struct {
	mu     sync.Mutex
	corked bool
	out    []byte
}

// errNothing is what a probe finds on a connection that is open and silent. TLS
// takes it for a timeout, and goes on as if nothing had been read.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to be read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// probe reports whether nothing can be read from c, which is the socket itself
// or TLS over it, without waiting. Session tickets, which TLS reads by itself,
// are nothing.
func (s *socket) probe(c net.Conn) (silent bool) {
	s.probing = true
	n, err := c.Read(s.one[:])
	s.probing = false
	return n == 0 && errors.Is(err, errNothing)
}

// cork has what is written collected until flush, so that several records of TLS
// are sent at once.
func (s *socket) cork() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corked = true
}

// flush sends what was collected.
func (s *socket) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushLocked()
}

func (s *socket) flushLocked() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.Conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// uncork sends what was collected, and from now on everything at once.
func (s *socket) uncork() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.flushLocked()
	s.corked, s.out = false, nil
	return err
}

// Write implements [net.Conn]. TLS writes of its own accord, too, when the other
// side changes keys.
func (s *socket) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.corked {
		return s.Conn.Write(b)
	}
	s.out = append(s.out, b...)
	return len(b), nil
}

// Read waits for something to read unless it is a probe that asks.
func (s *socket) Read(b []byte) (int, error) {
	if s.probing {
		return s.readNow(b)
	}
	return s.Conn.Read(b)
}
