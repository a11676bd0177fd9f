//go:build !unix

package upstream

import (
	"errors"
	"net"
	"os"
	"time"
)

// A socket is a connection that can be asked what there is to be read.
type socket struct {
	net.Conn
	corking
	probing bool
	one     [1]byte
}

func newSocket(c net.Conn) (*socket, error) { return &socket{Conn: c}, nil }

// readNow reads what is there, or returns errNothing.
func (s *socket) readNow(b []byte) (int, error) {
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, err := s.Conn.Read(b)
	_ = s.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errNothing
	}
	return n, err
}
