package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A Predecessor is the process that has served so far.
type Predecessor struct {
	// Sockets are those that it serves, by what they are for. They are the
	// successor's to close.
	Sockets map[string][]net.Listener
	// Conns are its other sockets.
	Conns map[string][]net.Conn

	conn conn
}

// checkPath finds out at the start what would keep this process from being
// replaced, months later.
func checkPath(path string) error {
	fail := func(problem string) error { return fmt.Errorf("offer sockets at %s: %s", path, problem) }
	if len(path) > maxPath {
		return fail(fmt.Sprintf("the path has more than %d characters; choose a shorter one", maxPath))
	}
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return fail("there is another file; name one that is not there yet")
	case errors.Is(err, fs.ErrNotExist):
		if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
			return fail("there is no such directory; make it, for this user alone")
		}
	}
	return nil
}

// maxPath leaves room for the process's number: a socket's path has 107
// characters at most (unix(7)).
const maxPath = 107 - len(".4194304")

// Ask asks the process that offers its sockets at path for them. It returns nil
// when there is no such process, or it ends without sockets to give: then
// whoever asks has to open sockets of its own.
func Ask(ctx context.Context, path string) (*Predecessor, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(answerTimeout)
	for {
		p, again, err := ask(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("take over from the process at %s: %w", path, err)
		}
		if !again || time.Now().After(deadline) {
			return p, nil
		}
		select { // its successor is about to offer
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ask asks once. Again says that another successor was first.
func ask(ctx context.Context, path string) (p *Predecessor, again bool, err error) {
	dialed, err := new(net.Dialer).DialContext(ctx, "unixpacket", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED): // none, or one that is dead
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	c := conn{dialed.(*net.UnixConn)}
	if err := c.checkPeer(); err != nil {
		_ = c.Close()
		return nil, false, err
	}
	m, sockets, err := c.handOver()
	if err == nil && m.Say == sayHere {
		p := &Predecessor{Sockets: map[string][]net.Listener{}, Conns: map[string][]net.Conn{}, conn: c}
		for i, socket := range sockets {
			name := m.Sockets[i]
			switch socket := socket.(type) {
			case net.Listener:
				p.Sockets[name] = append(p.Sockets[name], socket)
			case net.Conn:
				p.Conns[name] = append(p.Conns[name], socket)
			}
		}
		return p, false, nil
	}
	closeAll(sockets)
	_ = c.Close()
	if died(err) {
		return nil, false, nil
	}
	return nil, m.Say == sayEnded, err
}

func (c conn) handOver() (message, []socket, error) {
	if err := c.send(message{Say: sayHandOver}, nil); err != nil {
		return message{}, nil, err
	}
	return c.receive(servingTimeout + answerTimeout) // it may be talking to another one
}

// died reports whether an error is that of a process which ended meanwhile.
func died(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// Replace tells the predecessor that this process serves, and returns once it is
// about to end.
func (p *Predecessor) Replace() error {
	defer p.conn.Close()
	if err := p.conn.send(message{Say: sayServing}, nil); err != nil {
		return fmt.Errorf("tell the former process to end: %w", err)
	}
	m, _, err := p.conn.receive(answerTimeout)
	if err == nil && m.Say != sayEnding {
		err = fmt.Errorf("it says %q", m.Say)
	}
	if err != nil {
		return fmt.Errorf("tell the former process to end: %w", err)
	}
	return nil
}

// Close lets the predecessor go on as before.
func (p *Predecessor) Close() error { return p.conn.Close() }
