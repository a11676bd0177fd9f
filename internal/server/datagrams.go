package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/http3"
)

// datagrams are the UDP sockets that HTTP/3 comes to. Each address that speaks TLS
// has one for each of its listeners, at the same port, or those that systemd has
// passed under its name.
type datagrams struct {
	inherited map[string][]*http3.Socket // not in use so far; those of systemd stay, and copies are used
	open      map[string][]*http3.Socket
	retiring  map[string]int                             // how many are read until their last requests have ended
	serve     func(address string, socket *http3.Socket) // begins to; nil as long as none are
	retire    func(address string, socket *http3.Socket)
}

// change opens the sockets for addresses that have none, given the listeners that
// they belong to. What it returns puts them to use, and retires those for other
// addresses.
func (d *datagrams) change(ctx context.Context, addresses []string, listeners func(address string) []net.Listener) (commit func(), err error) {
	fresh := map[string][]*http3.Socket{}
	var errs []error
	for _, address := range addresses {
		if d.open[address] != nil {
			continue
		}
		fresh[address], err = d.listen(ctx, address, listeners(address))
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		closeSockets(fresh)
		return nil, err
	}
	return func() {
		for address, sockets := range d.open {
			if !slices.Contains(addresses, address) {
				delete(d.open, address)
				for _, socket := range sockets {
					if d.serve == nil {
						_ = socket.Close()
					} else {
						d.retire(address, socket)
					}
				}
			}
		}
		for address, sockets := range fresh {
			d.open[address] = sockets
			if d.serve != nil {
				for _, socket := range sockets {
					d.serve(address, socket)
				}
			}
		}
	}, nil
}

// listen opens what belongs to the listeners of an address. It returns what it has
// opened along with an error.
func (d *datagrams) listen(ctx context.Context, address string, listeners []net.Listener) (sockets []*http3.Socket, err error) {
	var errs []error
	inherited := d.inherited[address]
	switch {
	case d.retiring[address] > 0: // two cannot read one socket
		return nil, fmt.Errorf("HTTP/3, over UDP: listen on %s: requests are still under way there, from before it was given up; reload again when they have ended, after drain_timeout at the latest", address)
	case inherited != nil && isSystemd(address):
		for _, each := range inherited {
			socket, err := each.Copy()
			if err != nil {
				errs = append(errs, fmt.Errorf("HTTP/3, over UDP: listen on %s: %w", address, err))
				continue
			}
			sockets = append(sockets, socket)
		}
	case inherited != nil:
		delete(d.inherited, address)
		sockets = inherited
	default:
		for _, listener := range listeners {
			socket, err := http3.Listen(ctx, listener.Addr().String())
			if err != nil {
				errs = append(errs, explainDatagrams(listener.Addr().String(), err))
				continue
			}
			sockets = append(sockets, socket)
		}
	}
	return sockets, errors.Join(errs...)
}

func closeSockets(all map[string][]*http3.Socket) {
	for _, sockets := range all {
		for _, socket := range sockets {
			_ = socket.Close()
		}
	}
}

// explainDatagrams says what the operating system meant.
func explainDatagrams(address string, err error) error {
	explained := new(listeners).explain(address, err)
	return fmt.Errorf("HTTP/3, over UDP: %w", explained)
}

// closeUnused closes the inherited sockets that nobody asked for, but for
// systemd's.
func (d *datagrams) closeUnused() {
	for address, sockets := range d.inherited {
		if !isSystemd(address) {
			delete(d.inherited, address)
			closeSockets(map[string][]*http3.Socket{address: sockets})
		}
	}
}

// end gives up the sockets that nobody serves. The others are ended with what
// serves them.
func (d *datagrams) end() {
	if d.serve == nil {
		closeSockets(d.open)
	}
	closeSockets(d.inherited)
	d.open, d.inherited, d.serve = nil, nil, nil
}

// newHTTP3 makes what speaks HTTP/3, as newFront does for the rest. It costs
// nothing until there is a socket.
func (s *Server) newHTTP3(ctx context.Context) *http3.Server {
	return http3.New(http3.Config{
		Handler:          s.handler,
		BaseContext:      ctx,
		HandshakeTimeout: readHeaderTimeout,
		IdleTimeout:      idleConnTimeout,
		StallTimeout:     stallTimeout,
		MaxHeaderBytes:   maxHeaderBytes,
		Logger:           s.log,
	})
}

// beginDatagrams serves the UDP sockets that are open. A former process reads them
// until it has been told to end: two cannot.
func (s *Server) beginDatagrams(h *http3.Server, broken chan<- error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.datagrams
	d.serve = func(address string, socket *http3.Socket) {
		secure := s.current.Load().secureAt(address)
		go func() { // ends when the socket is retired, or h is shut down
			if err := serveDatagrams(h, socket, secure); err != nil {
				select {
				case broken <- fmt.Errorf("HTTP/3 on %s: %w", socket.LocalAddr(), err):
				default: // one reason to end is enough
				}
			}
		}()
	}
	d.retiring = map[string]int{}
	d.retire = func(address string, socket *http3.Socket) {
		d.retiring[address]++
		timeout := s.current.Load().config.DrainTimeout
		go func() { // ends in time
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			h.Retire(ctx, socket, idleGrace)
			s.mu.Lock()
			defer s.mu.Unlock()
			d.retiring[address]--
		}()
	}
	for address, sockets := range d.open {
		for _, socket := range sockets {
			d.serve(address, socket)
		}
	}
}

func serveDatagrams(h *http3.Server, socket *http3.Socket, secure *tls.Config) error {
	err := h.Serve(socket, secure)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Datagrams are the UDP sockets that are open, and what belongs to them, for
// passing on to another process as its Config.InheritedDatagrams. When they have
// been passed, and also if not, done is to be called.
func (s *Server) Datagrams() (conns map[string][]net.Conn, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns = map[string][]net.Conn{}
	var lines []net.Conn
	for address, sockets := range s.datagrams.open {
		for i, socket := range sockets {
			ends, err := socket.Lines()
			if err != nil {
				s.log.Warn("HTTP/3 requests under way may not outlive a handover", slog.String("reason", err.Error()))
			}
			conns[fmt.Sprintf("udp %d %s", i, address)] = []net.Conn{socket.UDPConn}
			for mark, end := range ends {
				conns[fmt.Sprintf("line %d %s %s", i, address, mark)] = []net.Conn{end}
				lines = append(lines, end)
			}
		}
	}
	return conns, func() {
		for _, line := range lines {
			_ = line.Close()
		}
	}
}

// PassDatagrams leaves the UDP sockets to the process that they have been passed
// to, or takes them back.
func (s *Server) PassDatagrams(passed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sockets := range s.datagrams.open {
		for _, socket := range sockets {
			socket.Pass(passed)
		}
	}
}

// inheritDatagrams makes sockets of what Datagrams of another process returned.
func inheritDatagrams(conns map[string][]net.Conn) map[string][]*http3.Socket {
	sockets := map[string][]*http3.Socket{}
	for i := 0; ; i++ {
		found := false
		for name, udp := range conns {
			address, ok := strings.CutPrefix(name, fmt.Sprintf("udp %d ", i))
			if !ok || len(udp) == 0 {
				continue
			}
			c, ok := udp[0].(*net.UDPConn)
			if !ok {
				continue
			}
			found = true
			socket := http3.NewSocket(c)
			socket.SetLines(linesOf(conns, fmt.Sprintf("line %d %s ", i, address)))
			sockets[address] = append(sockets[address], socket)
		}
		if !found {
			return sockets
		}
	}
}

func linesOf(conns map[string][]net.Conn, prefix string) map[string]*net.UnixConn {
	lines := map[string]*net.UnixConn{}
	for name, conn := range conns {
		if mark, ok := strings.CutPrefix(name, prefix); ok && len(conn) > 0 {
			if line, ok := conn[0].(*net.UnixConn); ok {
				lines[mark] = line
			}
		}
	}
	return lines
}
