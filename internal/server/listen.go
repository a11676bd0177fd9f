package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"

	"github.com/clerkproxy/clerkproxy"
)

// listenAll opens all listeners or none.
func listenAll(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	var errs []error
	for _, address := range addresses {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			errs = append(errs, listenError(address, err))
			continue
		}
		all = append(all, listener)
	}
	if len(errs) > 0 {
		for _, listener := range all {
			_ = listener.Close()
		}
		return nil, errors.Join(errs...)
	}
	return all, nil
}

// listenError says what the operating system meant.
func listenError(address string, err error) error {
	var system *net.OpError
	switch {
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

// listenProblems are those of the addresses to listen on.
func (c *Config) listenProblems() (errs []error) {
	fail := func(format string, args ...any) {
		errs = append(errs, &clerkproxy.ConfigError{Field: "Listen", Problem: fmt.Sprintf(format, args...)})
	}
	for i, address := range c.Listen {
		host, port, err := net.SplitHostPort(address)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			fail("%q is not an address to listen on; write host:port, or :port for all interfaces", address)
			continue
		}
		if slices.Contains(c.Listen[:i], address) {
			fail("%s is there twice", address)
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
