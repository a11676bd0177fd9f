package handover

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
)

// An Offer offers a process's sockets to its successor.
type Offer struct {
	// Sockets returns those that are open, by what they are for.
	Sockets func() map[string][]net.Listener
	// Replaced is called once, when a successor serves them: this process is to
	// end.
	Replaced func()
	// Logger is told of who asks, and of what goes wrong.
	Logger *slog.Logger

	path     string
	info     fs.FileInfo
	listener *net.UnixListener
	serving  sync.WaitGroup
	replaced bool // belongs to serve

	mu     sync.Mutex
	talks  *net.UnixConn // with the successor that is there at the moment
	closed bool
}

// Open begins to offer, at path, until Close. Whatever socket is at path is
// replaced; only this user can connect to the new one.
func (o *Offer) Open(path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("offer sockets at %s: there is another file; name one that is not there yet", path)
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
// place.
func (o *Offer) Close() {
	if info, err := os.Lstat(o.path); err == nil && os.SameFile(info, o.info) {
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
	case o.replaced:
		return c.send(message{Say: sayEnded}, nil)
	}
	m = message{Say: sayHere}
	var sockets []net.Listener
	for name, each := range o.Sockets() {
		for _, socket := range each {
			m.Sockets, sockets = append(m.Sockets, name), append(sockets, socket)
		}
	}
	if len(sockets) == 0 {
		return c.send(message{Say: sayNothing}, nil)
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
	if err := c.send(message{Say: sayEnding}, nil); err != nil {
		return fmt.Errorf("the successor has ended: %w", err)
	}
	o.replaced = true
	o.Replaced()
	return nil
}
