package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/certificate"
)

// What a listener speaks, for Config.OnListen.
const (
	ServesHTTP      = "http"
	ServesHTTPS     = "https"
	ServesHTTP3     = "https and http/3"
	ServesRedirects = "redirects to https"
)

// maxHSTS is far more than anybody asks for, RFC 6797 §11.2; a longer time was
// meant to be another one.
const maxHSTS = 10 * 365 * 24 * time.Hour

// security is how a configuration does TLS. Of the zero one there is none.
type security struct {
	certificates *certificate.Manager
	// config is the same for all listeners, and as long as there is TLS: it
	// holds the keys of session tickets.
	config *tls.Config
	hsts   string // the header's value, or empty
	use    func() // puts the certificates in force
}

// secure makes what a configuration says about TLS, of what there was.
func (s *Server) secure(c *Config, former security) (next security, errs []error) {
	errs = c.secureProblems()
	if c.TLS == nil {
		return security{use: func() {}}, errs
	}
	next = former
	var err error
	switch {
	case s.checking:
		err = c.TLS.Check()
	case former.certificates != nil:
		next.use, err = former.certificates.Prepare(*c.TLS)
	default:
		next.use = func() {}
		if next.certificates, err = certificate.New(*c.TLS, s.log); err == nil {
			next.config = next.certificates.TLSConfig()
		}
	}
	for _, each := range Problems(err) {
		if problem, ok := each.(*clerkproxy.ConfigError); ok {
			problem.Field = "TLS." + problem.Field
		}
		errs = append(errs, each)
	}
	next.hsts = ""
	if c.HSTS > 0 {
		next.hsts = fmt.Sprintf("max-age=%d", int64(c.HSTS.Seconds()))
	}
	return next, errs
}

func (c *Config) secureProblems() (errs []error) {
	fail := func(field, format string, args ...any) {
		errs = append(errs, &clerkproxy.ConfigError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case c.HSTS < 0 || c.HSTS > 0 && c.HSTS < time.Second:
		fail("HSTS", "%s is less than a second; write a time such as 8760h, a year, or 0 for none", c.HSTS)
	case c.HSTS > maxHSTS:
		fail("HSTS", "%s is more than ten years; write a time such as 8760h, a year", c.HSTS)
	case c.HSTS > 0 && c.TLS == nil:
		fail("HSTS", "does nothing without TLS; name a certificate or use ACME, or leave this out")
	}
	if c.TLS == nil && c.HTTP3 {
		fail("HTTP3", "does nothing without TLS; name a certificate or use ACME, or leave this out")
	}
	if c.TLS == nil && len(c.HTTPListen) > 0 {
		fail("HTTPListen", "redirects to TLS, which there is none of; name a certificate or use ACME, or give its addresses to listen, which is plain HTTP then")
	}
	return errs
}

// secureAt is what connections to an address are to speak; nil is plain HTTP.
func (c *current) secureAt(address string) *tls.Config {
	if slices.Contains(c.config.HTTPListen, address) {
		return nil
	}
	return c.security.config
}

// datagramsAt are the addresses that HTTP/3 is spoken at.
func (c *Config) datagramsAt() []string {
	if !c.HTTP3 || c.TLS == nil {
		return nil
	}
	return c.Listen
}

func (c *current) servesAt(address string) string {
	switch {
	case c.security.config == nil:
		return ServesHTTP
	case c.secureAt(address) == nil:
		return ServesRedirects
	case c.config.HTTP3:
		return ServesHTTP3
	default:
		return ServesHTTPS
	}
}

// noteHTTPSPort notes the port of the first listener that speaks TLS. s.mu is
// held.
func (s *Server) noteHTTPSPort() {
	for _, address := range s.current.Load().config.Listen {
		for _, listener := range s.listeners.open[address] {
			if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
				s.httpsPort.Store(int32(tcp.Port))
				return
			}
		}
	}
	s.httpsPort.Store(0)
}

// A keeper keeps certificates up to date while the server runs.
type keeper struct {
	of     *certificate.Manager // nil: there are none
	cancel context.CancelFunc
	ended  chan struct{}
}

// keepCertificates has those that are in force kept up to date, and no others.
// s.mu is held.
func (s *Server) keepCertificates() {
	manager := s.current.Load().security.certificates
	if s.listeners.serve == nil || s.keeper.of == manager {
		return // nobody listens, or nothing has changed
	}
	s.keeper.stop()
	s.keeper = keeper{of: manager}
	if manager == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.keeper.cancel, s.keeper.ended = cancel, ended
	go func() { defer close(ended); manager.Run(ctx) }() // ends with ctx
}

func (k *keeper) stop() {
	if k.of != nil {
		k.cancel()
	}
}

// letGoOfCertificates waits for a while until nobody keeps certificates any more:
// locks on a storage that others share are to be free again.
func (s *Server) letGoOfCertificates() {
	s.mu.Lock()
	keeper := s.keeper
	s.mu.Unlock()
	if keeper.of == nil {
		return
	}
	keeper.stop()
	select {
	case <-keeper.ended:
	case <-time.After(cutGrace):
	}
}
