//go:build !unix

package socket

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// A Socket is a connection of the operating system's. One goroutine may read from
// it, and one write to it, at the same time.
type Socket struct {
	net.Conn
	closed atomic.Bool
}

// New returns a socket.
func New(c net.Conn) (*Socket, error) { return &Socket{Conn: c}, nil }

// ReadInto reads into what room returns.
func (s *Socket) ReadInto(room func() []byte, _ func()) (int, error) { return s.Read(room()) }

// ReadNow reads what is there, or returns [ErrNothing].
func (s *Socket) ReadNow(p []byte) (int, error) {
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := s.Read(p)
	_ = s.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrNothing
	}
	return n, err
}

// WriteBoth writes two pieces.
func (s *Socket) WriteBoth(p, q []byte) (int, error) {
	both := net.Buffers{p, q}
	n, err := both.WriteTo(s.Conn)
	return int(n), err
}

// Waiting tells of a write that waits for the other side to read, which is not to
// be known here.
func (s *Socket) Waiting() uint64 { return 0 }

// Close implements [net.Conn].
func (s *Socket) Close() error {
	s.closed.Store(true)
	return s.Conn.Close()
}

// Closed reports whether Close was called.
func (s *Socket) Closed() bool { return s.closed.Load() }

// HungUp reports whether the other side has closed the connection, which is not
// to be known here without reading.
func (s *Socket) HungUp() bool { return false }
