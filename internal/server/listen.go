package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
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

// addresses are all that are listened on.
func (c *Config) addresses() []string { return slices.Concat(c.Listen, c.HTTPListen) }

// listeners are the open ones, by the address in Config that they are for. What
// they speak does not matter here: an address that speaks something else after a
// reload keeps its listener.
type listeners struct {
	inherited map[string][]net.Listener // not in use so far; those of systemd stay, and copies are used
	open      map[string][]net.Listener
	serve     func(address string, listener net.Listener) // begins to; nil before and after Run
}

// opened is a listener that is new.
type opened struct {
	address string
	net.Listener
}

// change opens the listeners for addresses that have none, and the UDP sockets for
// those among them at which there is HTTP/3, or none of them. What it returns puts
// them to use, closes those for other addresses, and returns the new listeners and
// the addresses that are given up.
func (l *listeners) change(ctx context.Context, addresses []string, udp *datagrams, http3At []string) (commit func() (began []opened, ended []string), err error) {
	if l.serve == nil {
		return func() ([]opened, []string) { return nil, nil }, nil
	}
	fresh := map[string][]net.Listener{}
	var errs []error
	for _, address := range addresses {
		if l.open[address] != nil {
			continue
		}
		fresh[address], err = l.listen(ctx, address)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		closeAll(fresh)
		return nil, err
	}
	commitDatagrams, err := udp.change(ctx, http3At, func(address string) []net.Listener {
		return append(fresh[address], l.open[address]...) // it has one or the other
	})
	if err != nil {
		closeAll(fresh)
		return nil, err
	}
	return func() ([]opened, []string) {
		commitDatagrams()
		gone := map[string][]net.Listener{}
		for address, open := range l.open {
			if !slices.Contains(addresses, address) {
				gone[address] = open
				delete(l.open, address)
			}
		}
		var began []opened
		for _, address := range addresses {
			for _, listener := range fresh[address] {
				l.serve(address, listener)
				began = append(began, opened{address, listener})
			}
		}
		maps.Copy(l.open, fresh)
		closeAll(gone)
		return began, slices.Sorted(maps.Keys(gone))
	}, nil
}

// listen opens what an address stands for.
func (l *listeners) listen(ctx context.Context, address string) ([]net.Listener, error) {
	if isSystemd(address) {
		return l.copies(address)
	}
	if inherited := l.inherited[address]; inherited != nil {
		delete(l.inherited, address)
		return inherited, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, l.explain(address, err)
	}
	return []net.Listener{listener}, nil
}

// copies are listeners with the sockets of systemd for an address, those made so
// far along with an error. The sockets themselves stay: what a reload gives up,
// another one may ask for again.
func (l *listeners) copies(address string) (copies []net.Listener, err error) {
	if l.inherited[address] == nil {
		return nil, fmt.Errorf("listen on %s: systemd has passed no such socket to this process%s; see FileDescriptorName in systemd.socket(5)", address, l.passed())
	}
	if open := l.overlaps(address); open != "" {
		return nil, fmt.Errorf("listen on %s: this process has that socket already, for %s; one cannot be changed to the other without a restart", address, open)
	}
	for _, inherited := range l.inherited[address] {
		listener, err := copyOf(inherited)
		if err != nil {
			return copies, fmt.Errorf("listen on %s: %w", address, err)
		}
		copies = append(copies, listener)
	}
	return copies, nil
}

// copyOf is a listener with the same queue of connections.
func copyOf(l net.Listener) (net.Listener, error) {
	socket, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("%T cannot be copied", l)
	}
	file, err := socket.File()
	if err != nil {
		return nil, err
	}
	defer file.Close() // the copy has a descriptor of its own
	return net.FileListener(file)
}

// passed names the sockets of systemd, for people who wonder what theirs are
// called.
func (l *listeners) passed() string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(l.inherited)), func(name string) bool {
		return name == systemd || !isSystemd(name) || l.open[name] != nil
	})
	if len(names) == 0 {
		return ""
	}
	return ", but " + strings.Join(names, " and ")
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
	closeAll(l.inherited)
	l.open, l.inherited, l.serve = nil, nil, nil
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
		return fmt.Errorf("listen on %s: not permitted; a port below 1024 needs privileges (CAP_NET_BIND_SERVICE), or systemd's sockets (systemd:NAME)", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen on %s: this machine does not have that address", address)
	case errors.As(err, &system):
		err = system.Err
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}

// overlaps returns the open address that has the port of another one, or its
// sockets.
func (l *listeners) overlaps(address string) string {
	_, port, _ := net.SplitHostPort(address)
	for open := range l.open {
		if isSystemd(address) && isSystemd(open) && (address == systemd || open == systemd) {
			return open
		}
		if _, p, err := net.SplitHostPort(open); err == nil && p == port {
			return open
		}
	}
	return ""
}

// CheckAddress says what is wrong with an address to listen on, and what to write.
func CheckAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on; write host:port, or :port for all interfaces", address)
	}
	return nil
}

// listenProblems are those of the addresses to listen on.
func (c *Config) listenProblems() (errs []error) {
	all := c.addresses()
	for i, address := range all {
		fail := func(format string, args ...any) {
			field := "Listen"
			if i >= len(c.Listen) {
				field = "HTTPListen"
			}
			errs = append(errs, &clerkproxy.ConfigError{Field: field, Problem: fmt.Sprintf(format, args...)})
		}
		if slices.Contains(all[:i], address) {
			fail("%s is there twice; leave one of them out", address)
		}
		if isSystemd(address) {
			if address != systemd && slices.Contains(all, systemd) {
				fail("%s is one of the sockets that systemd stands for; leave one of them out", address)
			}
			continue
		}
		if err := CheckAddress(address); err != nil {
			fail("%v", err)
			continue
		}
		host, port, _ := net.SplitHostPort(address)
		n, _ := strconv.ParseUint(port, 10, 16)
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
