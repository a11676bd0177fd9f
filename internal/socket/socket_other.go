//go:build !unix

package socket

import (
	"errors"
	"net"
	"os"
	"time"
)

// A Socket is a connection of the operating system's. One goroutine may read from
// it, and one write to it, at the same time.
type Socket struct{ net.Conn }

// New returns a socket.
func New(c net.Conn) (*Socket, error) { return &Socket{c}, nil }

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

// HungUp reports whether the other side has closed the connection, which is not
// to be known here without reading.
func (s *Socket) HungUp() bool { return false }
