//go:build unix

package upstream

import (
	"io"
	"net"
	"syscall"
)

// A socket is a connection that can be asked what there is to be read.
type socket struct {
	net.Conn
	raw syscall.RawConn
	corking
	probing bool
	one     [1]byte

	// Of readNow, here so that a look costs no allocation.
	look func(fd uintptr) bool
	buf  []byte
	n    int
	err  error
}

func newSocket(c net.Conn) (*socket, error) {
	s := &socket{Conn: c}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, syscall.EINVAL
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.raw = raw
	s.look = func(fd uintptr) bool {
		s.n, s.err = syscall.Read(int(fd), s.buf)
		return true // whatever came of it: do not wait
	}
	return s, nil
}

// readNow reads what is there, or returns errNothing.
func (s *socket) readNow(b []byte) (int, error) {
	s.buf = b
	err := s.raw.Read(s.look)
	s.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.err == syscall.EAGAIN, s.err == syscall.EINTR:
		return 0, errNothing
	case s.err != nil:
		return 0, s.err
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}
