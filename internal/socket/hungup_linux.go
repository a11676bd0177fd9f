package socket

import "golang.org/x/sys/unix"

// HungUp reports whether the other side has closed its side of the connection.
// What it has sent before that, TLS's goodbye for one, does not hide it.
func (s *Socket) HungUp() bool {
	gone := false
	err := s.raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		gone = err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || gone
}
