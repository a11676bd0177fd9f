//go:build !race

package socket

import (
	"syscall"
	"unsafe"
)

// read reads into p, which is not empty.
func read(fd int, p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return result(n, err)
}

// write writes p and q, which are not both empty.
func write(fd int, p, q []byte) (int, error) {
	if len(p) == 0 {
		p, q = q, nil
	}
	if len(q) == 0 {
		n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		return result(n, err)
	}
	both := [...]syscall.Iovec{{Base: &p[0]}, {Base: &q[0]}}
	both[0].SetLen(len(p))
	both[1].SetLen(len(q))
	n, _, err := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&both[0])), uintptr(len(both)))
	return result(n, err)
}

func result(n uintptr, err syscall.Errno) (int, error) {
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
