package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// A Predecessor is the process that has served so far.
type Predecessor struct {
	// Sockets are those that it serves, by what they are for. They are the
	// successor's to close.
	Sockets map[string][]net.Listener

	conn conn
}

// Ask asks the process that offers its sockets at path for them. It returns nil
// when there is no such process, or it ends without sockets to give: then
// whoever asks has to open sockets of its own.
func Ask(ctx context.Context, path string) (*Predecessor, error) {
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
		p := &Predecessor{Sockets: map[string][]net.Listener{}, conn: c}
		for i, socket := range sockets {
			p.Sockets[m.Sockets[i]] = append(p.Sockets[m.Sockets[i]], socket)
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

func (c conn) handOver() (message, []net.Listener, error) {
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
