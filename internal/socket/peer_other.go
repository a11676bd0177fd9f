//go:build unix && !linux

package socket

import "syscall"

// HungUp reports whether the other side has closed its side of the connection, as
// far as nothing that it sent before hides it.
func (s *Socket) HungUp() bool {
	gone := false
	err := s.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return err != nil || gone
}

// unsent is not known here.
func (s *Socket) unsent() uint32 { return 0 }
