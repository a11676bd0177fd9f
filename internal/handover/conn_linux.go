package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
)

// conn is a connection between predecessor and successor.
type conn struct{ *net.UnixConn }

// checkPeer refuses another user's process, which may neither have our sockets
// nor give us its own.
func (c conn) checkPeer() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		peer, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, credErr); err != nil {
		return fmt.Errorf("ask who is at the other end: %w", err)
	}
	if !mayHandOver(int(peer.Uid), os.Geteuid()) {
		return fmt.Errorf("the process at the other end is another user's (%d)", peer.Uid)
	}
	return nil
}

// mayHandOver reports whether a user's process may take part: root may anything
// anyway.
func mayHandOver(peer, own int) bool { return peer == own || peer == 0 }

// send sends a message and, with it, sockets.
func (c conn) send(m message, sockets []socket) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > maxMessage || len(sockets) > maxSockets {
		return fmt.Errorf("there are more sockets than can be handed over (%d)", len(sockets))
	}
	var fds []int
	for _, socket := range sockets {
		file, err := fileOf(socket)
		if err != nil {
			return err
		}
		defer file.Close()
		defer runtime.KeepAlive(file)
		fd, err := fdOf(file)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	if err := c.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, _, err = c.WriteMsgUnix(data, rights, nil)
	return err
}

// A socket is a net.Listener or a net.Conn.
type socket interface{ Close() error }

func fileOf(s socket) (*os.File, error) {
	filer, ok := s.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("a %T cannot be handed over", s)
	}
	return filer.File()
}

// fdOf is file.Fd without its side effect: that would make the socket blocking,
// in this process too.
func fdOf(file *os.File) (fd int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Control(func(f uintptr) { fd = int(f) })
	return fd, err
}

// receive returns the next message and what sockets came with it.
func (c conn) receive(timeout time.Duration) (m message, sockets []socket, err error) {
	if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return m, nil, err
	}
	data, rights := make([]byte, maxMessage), make([]byte, syscall.CmsgSpace(4*maxSockets))
	n, rightsN, flags, _, err := c.ReadMsgUnix(data, rights)
	if err != nil {
		return m, nil, err
	}
	sockets, err = parseRights(rights[:rightsN])
	if err == nil && flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 {
		err = errors.New("a message is cut short")
	}
	if err == nil {
		err = json.Unmarshal(data[:n], &m)
	}
	if err == nil && len(m.Sockets) != len(sockets) {
		err = fmt.Errorf("%d sockets were announced, %d came", len(m.Sockets), len(sockets))
	}
	if err != nil {
		closeAll(sockets)
		return message{}, nil, fmt.Errorf("read a message: %w", err)
	}
	return m, sockets, nil
}

// parseRights makes listeners, and connections, of the descriptors that came with a
// message.
func parseRights(rights []byte) (sockets []socket, err error) {
	if len(rights) == 0 {
		return nil, nil
	}
	controls, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, control := range controls {
		fds, err := syscall.ParseUnixRights(&control)
		errs = append(errs, err)
		for _, fd := range fds {
			s, err := socketOf(os.NewFile(uintptr(fd), "inherited socket"))
			errs = append(errs, err)
			if err == nil {
				sockets = append(sockets, s)
			}
		}
	}
	return sockets, errors.Join(errs...)
}

// socketOf makes what a file is, and closes the file: what it makes has a descriptor
// of its own.
func socketOf(file *os.File) (socket, error) {
	defer file.Close()
	fd, err := fdOf(file)
	if err != nil {
		return nil, err
	}
	if listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || listens == 0 {
		return net.FileConn(file) // net.FileListener would take some of those too
	}
	return net.FileListener(file)
}

func closeAll[S socket](sockets []S) {
	for _, socket := range sockets {
		_ = socket.Close()
	}
}
