// Package socket reads and writes sockets without telling the runtime about each
// system call.
//
// The runtime is told so that a call that blocks does not keep a processor to
// itself. Those of a socket never block: the runtime's poller waits for them. But
// on their way they do the kernel's work for both ends of a connection on this
// machine, take long enough that the processor is given to another thread
// meanwhile, and have to get it back. For a proxy, of whose time two thirds are
// system calls, that makes a tenth.
package socket

import (
	"errors"
	"net"
)

// ErrNothing is what [Socket.ReadNow] finds on a connection that is open and
// silent. It is a timeout, which TLS takes as if nothing had been read.
var ErrNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to be read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// CloseWrite closes the sending side.
func (s *Socket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}
