//go:build !linux

package front

import "syscall"

// hungUp reports whether the client has closed its side of the connection, as
// far as nothing that it sent before hides it.
func (c *conn) hungUp() bool {
	gone := false
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return err != nil || gone
}
