//go:build unix

package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// A Socket is a connection of the operating system's. One goroutine may read from
// it, and one write to it, at the same time.
type Socket struct {
	net.Conn
	raw syscall.RawConn

	reading reading
	writing writing
	closed  atomic.Bool
}

// reading is a read under way. Its step is made once, so that no read costs an
// allocation.
type reading struct {
	step func(fd uintptr) (done bool)
	p    []byte
	room func() []byte // in place of p
	none func()        // called when nothing came of room
	now  bool          // without waiting
	n    int
	err  error
}

// writing is a write under way.
type writing struct {
	step func(fd uintptr) (done bool)
	p, q []byte // what is left
	err  error

	waits   uint32        // how often there was no room
	waiting atomic.Uint32 // the number of the wait under way; 0: there is none
}

// New returns a socket of a TCP or Unix connection.
func New(c net.Conn) (*Socket, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("socket: the connection is none of the operating system's")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Socket{Conn: c, raw: raw}
	s.reading.step, s.writing.step = s.reading.try, s.writing.try
	return s, nil
}

// Read implements [io.Reader].
func (s *Socket) Read(p []byte) (int, error) {
	s.reading.p, s.reading.now = p, false
	return s.read()
}

// ReadInto reads into what room returns. When there is nothing to be read yet it
// calls none, waits, and calls room again: while it waits, no room need be held.
func (s *Socket) ReadInto(room func() []byte, none func()) (int, error) {
	r := &s.reading
	r.p, r.room, r.none, r.now = nil, room, none, false
	return s.read()
}

// ReadNow reads what is there, or returns [ErrNothing].
func (s *Socket) ReadNow(p []byte) (int, error) {
	s.reading.p, s.reading.now = p, true
	return s.read()
}

func (s *Socket) read() (int, error) {
	r := &s.reading
	err := s.raw.Read(r.step)
	r.p, r.room, r.none = nil, nil, nil
	switch {
	case err != nil:
		return 0, err
	case r.err == ErrNothing:
		return 0, ErrNothing
	case r.err != nil:
		return 0, s.opError("read", r.err)
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

func (r *reading) try(fd uintptr) (done bool) {
	p := r.p
	if r.room != nil {
		p = r.room()
	}
	if len(p) == 0 {
		r.n, r.err = 0, io.ErrShortBuffer
		return true
	}
	r.n, r.err = read(int(fd), p)
	for r.err == syscall.EINTR {
		r.n, r.err = read(int(fd), p)
	}
	if r.err != syscall.EAGAIN {
		return true
	}
	if r.none != nil {
		r.none()
	}
	r.err = ErrNothing
	return r.now
}

// Write implements [io.Writer].
func (s *Socket) Write(p []byte) (int, error) { return s.WriteBoth(p, nil) }

// WriteBoth writes two pieces, at once if it can.
func (s *Socket) WriteBoth(p, q []byte) (int, error) {
	w := &s.writing
	w.p, w.q, w.err = p, q, nil
	err := s.raw.Write(w.step)
	n := len(p) + len(q) - len(w.p) - len(w.q)
	w.p, w.q = nil, nil
	if w.waiting.Load() != 0 {
		w.waiting.Store(0)
	}
	if err == nil && w.err != nil {
		err = s.opError("write", w.err)
	}
	return n, err
}

func (w *writing) try(fd uintptr) (done bool) {
	for len(w.p)+len(w.q) > 0 {
		n, err := write(int(fd), w.p, w.q)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			w.waits = max(w.waits+1, 1)
			w.waiting.Store(w.waits)
			return false
		case err != nil:
			w.err = err
			return true
		}
		first := min(n, len(w.p))
		w.p, w.q = w.p[first:], w.q[n-first:]
	}
	return true
}

// Waiting tells of the write that waits for the other side to read: while the
// number is the same, that has taken nothing. Zero: no write waits.
func (s *Socket) Waiting() uint64 {
	n := s.writing.waiting.Load()
	if n == 0 {
		return 0
	}
	return uint64(n)<<32 | uint64(s.unsent())
}

// Close implements [net.Conn].
func (s *Socket) Close() error {
	s.closed.Store(true)
	return s.Conn.Close()
}

// Closed reports whether Close was called.
func (s *Socket) Closed() bool { return s.closed.Load() }

func (s *Socket) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, err)}
}
