package http3

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

const (
	// markLen is how long the mark of a process is in the ids of its connections.
	// A new client invents the first id; it may not look like one of ours.
	markLen = 4
	// idLen is how long an id is.
	idLen = markLen + 8
)

type mark [markLen]byte

// A Socket is a UDP socket that a process and its successor have both. It is read
// by one of them, the newest. The ids of connections begin with a mark of the
// process that has made them; datagrams for a connection of a former process are
// passed on to it, over a line. What is sent, each sends by itself.
type Socket struct {
	*net.UDPConn
	batch *ipv4.PacketConn
	own   mark

	mu     sync.Mutex
	former map[mark]*net.UnixConn // the lines to former processes
	line   *net.UnixConn          // that to this one
	passed bool                   // the successor reads the socket

	deadline time.Time // for reading
}

// Listen opens a socket at an address.
func Listen(ctx context.Context, address string) (*Socket, error) {
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	return NewSocket(c.(*net.UDPConn)), nil
}

// NewSocket makes one of a socket that is open.
func NewSocket(c *net.UDPConn) *Socket {
	s := &Socket{UDPConn: c, batch: ipv4.NewPacketConn(c), former: map[mark]*net.UnixConn{}}
	rand.Read(s.own[:])
	return s
}

// Copy returns a socket with the same queue of datagrams, to be read in the place of
// this one. The lines to former processes are the copy's from then on.
func (s *Socket) Copy() (*Socket, error) {
	file, err := s.UDPConn.File()
	if err != nil {
		return nil, err
	}
	defer file.Close() // the copy has a descriptor of its own
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	c := NewSocket(conn.(*net.UDPConn))
	s.mu.Lock()
	defer s.mu.Unlock()
	c.former, s.former = s.former, c.former
	return c, nil
}

// ConnectionIDLen implements [quic.ConnectionIDGenerator].
func (s *Socket) ConnectionIDLen() int { return idLen }

// GenerateConnectionID implements [quic.ConnectionIDGenerator].
func (s *Socket) GenerateConnectionID() (quic.ConnectionID, error) {
	var id [idLen]byte
	rand.Read(id[copy(id[:], s.own[:]):])
	return quic.ConnectionIDFromBytes(id[:]), nil
}

// markOf is the mark in the id of the connection that a datagram is for, RFC 8999
// §5. One that opens a connection has none.
func markOf(datagram []byte) (m mark, ok bool) {
	at := 1
	if len(datagram) > 0 && datagram[0]&0x80 != 0 { // a long header
		at = 6
		if len(datagram) < at || datagram[at-1] != idLen {
			return m, false
		}
	}
	if len(datagram) < at+idLen {
		return m, false
	}
	return mark(datagram[at:]), true
}

// ReadBatch reads what has come, in the way that quic-go has it.
func (s *Socket) ReadBatch(messages []ipv4.Message, flags int) (int, error) {
	for {
		line := s.readsLine()
		if line != nil {
			err := receive(line, &messages[0])
			switch {
			case err == nil:
				return 1, nil
			case errors.Is(err, os.ErrDeadlineExceeded) && s.readsLine() != nil:
				return 0, err
			}
			// The successor has ended, or is not to serve after all.
			s.Pass(false)
			continue
		}
		n, err := s.batch.ReadBatch(messages, flags)
		if err == nil {
			s.passOn(messages[:n])
			return n, nil
		}
		if s.readsLine() == nil {
			return 0, err
		}
	}
}

// readsLine returns the line that is to be read in place of the socket, or nil.
func (s *Socket) readsLine() *net.UnixConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passed {
		return s.line
	}
	return nil
}

// Pass leaves the socket to the successor that has the lines: it is not read any
// more, until the successor has ended, or turns out not to serve.
func (s *Socket) Pass(passed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == nil || s.passed == passed {
		return
	}
	s.passed = passed
	past := time.Unix(1, 0) // ends a read under way
	if passed {
		_ = s.line.SetReadDeadline(s.deadline)
		_ = s.UDPConn.SetReadDeadline(past)
		return
	}
	_ = s.line.SetReadDeadline(past)
	_ = s.UDPConn.SetReadDeadline(s.deadline)
}

// passOn sends on the datagrams that are for former processes, and empties them.
func (s *Socket) passOn(messages []ipv4.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.former) == 0 {
		return
	}
	for i := range messages {
		m, ok := markOf(messages[i].Buffers[0][:messages[i].N])
		if !ok || s.former[m] == nil {
			continue
		}
		if gone := send(s.former[m], &messages[i]); gone {
			_ = s.former[m].Close()
			delete(s.former, m)
		}
		messages[i].N = 0 // quic-go disregards it
	}
}

// SetReadDeadline implements [net.PacketConn], for whatever is read.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	if s.passed {
		return s.line.SetReadDeadline(t)
	}
	return s.UDPConn.SetReadDeadline(t)
}

// Close closes the socket and all lines.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != nil {
		_ = s.line.Close()
	}
	for _, line := range s.former {
		_ = line.Close()
	}
	return s.UDPConn.Close()
}
