package http3

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/net/ipv4"
)

// maxDatagram is how long what travels over a line may be: a datagram as long as
// quic-go reads, with what belongs to it.
const maxDatagram = 2048

// send sends a datagram over a line, or drops it, as any network might. Gone says
// that nobody is at the other end.
func send(line *net.UnixConn, m *ipv4.Message) (gone bool) {
	from, ok := m.Addr.(*net.UDPAddr)
	if !ok {
		return false
	}
	address, err := from.AddrPort().MarshalBinary()
	if err != nil {
		return false
	}
	b := make([]byte, 0, maxDatagram)
	b = append(append(b, byte(len(address))), address...)
	b = append(append(b, byte(m.NN)), m.OOB[:m.NN]...)
	b = append(b, m.Buffers[0][:m.N]...)
	raw, err := line.SyscallConn()
	if err != nil {
		return true
	}
	controlErr := raw.Control(func(fd uintptr) {
		_, err = syscall.SendmsgN(int(fd), b, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	})
	return controlErr != nil || err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS)
}

// receive reads a datagram from a line.
func receive(line *net.UnixConn, m *ipv4.Message) error {
	b := make([]byte, maxDatagram)
	n, err := line.Read(b)
	if err != nil {
		return err
	}
	b = b[:n]
	address, b, ok1 := cut(b)
	control, b, ok2 := cut(b)
	var from netip.AddrPort
	if !ok1 || !ok2 || from.UnmarshalBinary(address) != nil || len(control) > len(m.OOB) || len(b) > len(m.Buffers[0]) {
		return errors.New("what was passed on cannot be read")
	}
	m.Addr, m.NN, m.N = net.UDPAddrFromAddrPort(from), copy(m.OOB, control), copy(m.Buffers[0], b)
	return nil
}

// cut cuts off a piece that begins with its length.
func cut(b []byte) (piece, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

// Lines returns the far ends of the lines to this process and to those before it
// that have not ended, by their marks: what its successor needs besides the socket.
// They are the caller's to close.
func (s *Socket) Lines() (lines map[string]*net.UnixConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	near, far, err := pair()
	if err != nil {
		return nil, fmt.Errorf("make a line for datagrams: %w", err)
	}
	if s.line != nil {
		_ = s.line.Close() // of a successor that did not come to serve
	}
	s.line = near
	lines = map[string]*net.UnixConn{hex.EncodeToString(s.own[:]): far}
	for m, line := range s.former {
		if isGone(line) {
			_ = line.Close()
			delete(s.former, m)
			continue
		}
		file, err := line.File()
		if err != nil {
			continue
		}
		if c, err := net.FileConn(file); err == nil {
			lines[hex.EncodeToString(m[:])] = c.(*net.UnixConn)
		}
		_ = file.Close()
	}
	return lines, nil
}

// isGone reports whether nobody is at the other end of a line, from where nothing
// ever comes.
func isGone(line *net.UnixConn) bool {
	raw, err := line.SyscallConn()
	if err != nil {
		return true
	}
	controlErr := raw.Control(func(fd uintptr) {
		_, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return controlErr != nil || !errors.Is(err, syscall.EAGAIN)
}

// SetLines takes the lines to the processes before this one.
func (s *Socket) SetLines(lines map[string]*net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, line := range lines {
		b, err := hex.DecodeString(name)
		if err != nil || len(b) != markLen {
			_ = line.Close()
			continue
		}
		s.former[mark(b)] = line
	}
}

// buffer is how much the kernel keeps of what has come and was not read; 0: that is
// not known.
func (s *Socket) buffer() (size int) {
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	})
	return size
}

// pair makes the two ends of a line.
func pair() (near, far *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "line")
		c, fileErr := net.FileConn(file)
		_ = file.Close()
		if fileErr != nil {
			err = fileErr
			continue
		}
		ends[i] = c.(*net.UnixConn)
	}
	if err != nil {
		for _, end := range ends {
			if end != nil {
				_ = end.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}
