//go:build unix && (!linux || race)

package socket

import "syscall"

// Elsewhere system calls are the C library's to make, and the runtime is told. The
// race detector has to be told too: what one end of a connection writes happens
// before the other reads it.

func read(fd int, p []byte) (int, error) {
	n, err := syscall.Read(fd, p)
	return max(n, 0), err
}

func write(fd int, p, q []byte) (int, error) {
	if len(p) == 0 {
		p = q
	}
	n, err := syscall.Write(fd, p)
	return max(n, 0), err
}
