package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/clerkproxy/clerkproxy"
)

// systemd stands in Config.Listen for the sockets that systemd has passed, with
// a colon and a name for those of that name.
const systemd = "systemd"

func isSystemd(address string) bool {
	return address == systemd || strings.HasPrefix(address, systemd+":")
}

// listeners are the open ones, by the address in Config.Listen that they are for.
type listeners struct {
	inherited map[string][]net.Listener // not in use so far
	open      map[string][]net.Listener
	serve     func(net.Listener) // begins to; nil before and after Run
}

// change opens the listeners for addresses that have none, or none of them. What
// it returns puts them to use, closes those for other addresses, and returns the
// new ones.
func (l *listeners) change(ctx context.Context, addresses []string) (commit func() []net.Listener, err error) {
	if l.serve == nil {
		return func() []net.Listener { return nil }, nil
	}
	opened := map[string][]net.Listener{}
	var errs []error
	for _, address := range addresses {
		if l.open[address] != nil {
			continue
		}
		opened[address], err = l.listen(ctx, address)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		closeAll(opened)
		return nil, err
	}
	return func() []net.Listener {
		gone := map[string][]net.Listener{}
		for address, open := range l.open {
			if !slices.Contains(addresses, address) {
				gone[address] = open
				delete(l.open, address)
			}
		}
		var began []net.Listener
		for _, address := range addresses {
			for _, listener := range opened[address] {
				l.serve(listener)
				began = append(began, listener)
			}
		}
		maps.Copy(l.open, opened)
		closeAll(gone)
		return began
	}, nil
}

// listen opens what an address stands for.
func (l *listeners) listen(ctx context.Context, address string) ([]net.Listener, error) {
	if inherited := l.inherited[address]; inherited != nil {
		delete(l.inherited, address)
		return inherited, nil
	}
	if isSystemd(address) {
		return nil, fmt.Errorf("listen on %s: systemd has passed no such socket to this process; see systemd.socket(5)", address)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, l.explain(address, err)
	}
	return []net.Listener{listener}, nil
}

// closeUnused closes the inherited listeners that nobody asked for. Those of
// systemd stay open in systemd anyway, and may be asked for later.
func (l *listeners) closeUnused() {
	for address, unused := range l.inherited {
		if !isSystemd(address) {
			delete(l.inherited, address)
			closeAll(map[string][]net.Listener{address: unused})
		}
	}
}

// end closes all listeners.
func (l *listeners) end() {
	closeAll(l.open)
	l.open, l.serve = nil, nil
}

func closeAll(all map[string][]net.Listener) {
	for _, listeners := range all {
		for _, listener := range listeners {
			_ = listener.Close()
		}
	}
}

// explain says what the operating system meant.
func (l *listeners) explain(address string, err error) error {
	var system *net.OpError
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && l.overlaps(address) != "":
		return fmt.Errorf("listen on %s: this process has that port already, for %s; one cannot be changed to the other without a restart", address, l.overlaps(address))
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the port is in use; stop the program that has it, or choose another port", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not permitted; a port below 1024 needs privileges (CAP_NET_BIND_SERVICE)", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine does not have that address", address)
	case errors.As(err, &system):
		err = system.Err
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// overlaps returns the open address that has the port of another one.
func (l *listeners) overlaps(address string) string {
	_, port, _ := net.SplitHostPort(address)
	for open := range l.open {
		if _, p, err := net.SplitHostPort(open); err == nil && p == port {
			return open
		}
	}
	return ""
}

// listenProblems are those of the addresses to listen on.
func (c *Config) listenProblems() (errs []error) {
	fail := func(format string, args ...any) {
		errs = append(errs, &clerkproxy.ConfigError{Field: "Listen", Problem: fmt.Sprintf(format, args...)})
	}
	for i, address := range c.Listen {
		if slices.Contains(c.Listen[:i], address) {
			fail("%s is there twice", address)
		}
		if isSystemd(address) {
			if address != systemd && slices.Contains(c.Listen, systemd) {
				fail("%s is one of the sockets that systemd stands for; leave one of them out", address)
			}
			continue
		}
		host, port, err := net.SplitHostPort(address)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			fail("%q is not an address to listen on; write host:port, or :port for all interfaces", address)
			continue
		}
		for i, site := range c.Sites {
			if site.AppURL != nil && isSelf(host, uint16(n), site.AppURL) {
				errs = append(errs, &SiteError{i, &clerkproxy.ConfigError{Field: "AppURL", Problem: "is the address that this server itself listens on; write the application's"}})
			}
		}
	}
	return errs
}

// isSelf reports whether a URL on this machine has the port that the server
// listens on: it would forward to itself without end.
func isSelf(host string, port uint16, u *url.URL) bool {
	appPort := u.Port()
	if appPort == "" {
		appPort = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return appPort == strconv.Itoa(int(port)) && isOwnAddress(host) && isOwnAddress(u.Hostname())
}

func isOwnAddress(host string) bool {
	if host == "" || host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsUnspecified())
}
