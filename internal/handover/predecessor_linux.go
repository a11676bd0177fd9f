package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// An Offer offers a process's sockets to its successor.
type Offer struct {
	// Sockets returns those that are open, by what they are for.
	Sockets func() map[string][]net.Listener
	// Conns returns other sockets that are to be passed, by what they are for, and
	// what to call when they have been. Nil: there are none.
	Conns func() (conns map[string][]net.Conn, done func())
	// Passed is called right before the successor is told that all is its own, and
	// with false if it could not be told. Nil: nothing is.
	Passed func(passed bool)
	// Replaced is called once, when a successor serves them: this process is to
	// end.
	Replaced func()
	// Logger is told of who asks, and of what goes wrong.
	Logger *slog.Logger

	path     string
	info     fs.FileInfo
	listener *net.UnixListener
	serving  sync.WaitGroup

	mu       sync.Mutex
	talks    *net.UnixConn // with the successor that is there at the moment
	replaced bool
	closed   bool
}

// Open begins to offer, at path, until Close. Whatever socket is at path is
// replaced; only this user can connect to the new one.
func (o *Offer) Open(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	// Made under another name, it has its mode before anybody can connect, and
	// takes the place of the predecessor's in one step.
	own := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(own)
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: own, Net: "unixpacket"})
	if err != nil {
		return fmt.Errorf("offer sockets at %s: %w", path, withoutAddress(err))
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(own, 0o600)
	if err == nil {
		o.info, err = os.Lstat(own)
	}
	if err == nil {
		err = os.Rename(own, path)
	}
	if err != nil {
		_ = listener.Close()
		_ = os.Remove(own)
		return fmt.Errorf("offer sockets at %s: %w", path, err)
	}
	o.path, o.listener = path, listener
	o.serving.Go(o.serve) // ends with Close
	return nil
}

func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Close ends the offer, and removes its socket unless a successor's is in its
// place. It gives a successor that serves a moment to put it there: who asks in
// between is told to ask again, and would else find nobody.
func (o *Offer) Close() {
	for end := time.Now().Add(offerTimeout); o.wasReplaced() && o.isOffered() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if o.isOffered() {
		_ = os.Remove(o.path)
	}
	o.mu.Lock()
	o.closed = true
	_ = o.listener.Close()
	if o.talks != nil {
		_ = o.talks.Close()
	}
	o.mu.Unlock()
	o.serving.Wait()
}

// isOffered reports whether the socket at the path is this offer's.
func (o *Offer) isOffered() bool {
	info, err := os.Lstat(o.path)
	return err == nil && os.SameFile(info, o.info)
}

func (o *Offer) wasReplaced() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.replaced
}

// begin notes whom to leave when the offer ends.
func (o *Offer) begin(c *net.UnixConn) (ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.talks = c
	return !o.closed
}

// serve talks with one successor after another: two at a time would both serve.
func (o *Offer) serve() {
	for {
		accepted, err := o.listener.AcceptUnix()
		if err != nil {
			return // closed
		}
		if !o.begin(accepted) {
			_ = accepted.Close()
			return
		}
		if err := o.talk(conn{accepted}); err != nil {
			o.Logger.Warn("the sockets were not handed over; this process goes on", slog.String("reason", err.Error()))
		}
		_ = accepted.Close()
	}
}

func (o *Offer) talk(c conn) error {
	if err := c.checkPeer(); err != nil {
		return err
	}
	m, _, err := c.receive(answerTimeout)
	switch {
	case err != nil:
		return err
	case m.Say != sayHandOver:
		return fmt.Errorf("a process says %q", m.Say)
	case o.wasReplaced():
		return c.send(message{Say: sayEnded}, nil)
	}
	m = message{Say: sayHere}
	var sockets []socket
	for name, each := range o.Sockets() {
		for _, socket := range each {
			m.Sockets, sockets = append(m.Sockets, name), append(sockets, socket)
		}
	}
	if len(sockets) == 0 {
		return c.send(message{Say: sayNothing}, nil)
	}
	if o.Conns != nil {
		conns, done := o.Conns()
		defer done()
		for name, each := range conns {
			for _, socket := range each {
				m.Sockets, sockets = append(m.Sockets, name), append(sockets, socket)
			}
		}
	}
	if err := c.send(m, sockets); err != nil {
		return fmt.Errorf("send the sockets: %w", err)
	}
	switch m, _, err = c.receive(servingTimeout); {
	case err != nil:
		return fmt.Errorf("the successor does not serve: %w", err)
	case m.Say != sayServing:
		return fmt.Errorf("the successor says %q", m.Say)
	}
	if o.Passed != nil {
		o.Passed(true)
	}
	if err := c.send(message{Say: sayEnding}, nil); err != nil {
		if o.Passed != nil {
			o.Passed(false)
		}
		return fmt.Errorf("the successor has ended: %w", err)
	}
	o.mu.Lock()
	o.replaced = true
	o.mu.Unlock()
	o.Replaced()
	return nil
}
