//go:build unix

package upstream

import (
	"net"
	"syscall"
)

// peeker returns a function that reports, without waiting, whether a connection
// is open with nothing to be read from it.
func peeker(c net.Conn) func() bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return func() bool { return true }
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	var open bool
	var buf [1]byte
	look := func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = err == syscall.EAGAIN
		return true
	}
	return func() bool { return raw.Read(look) == nil && open }
}
