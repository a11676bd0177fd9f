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

// unsent is how much the kernel holds that the other side has not taken yet. It
// shrinks long before there is room for more.
func (s *Socket) unsent() (n uint32) {
	_ = s.raw.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = uint32(queued)
		}
	})
	return n
}
