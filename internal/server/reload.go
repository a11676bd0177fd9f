package server

import (
	"context"
	"log/slog"
	"time"
)

// Reloads tells how reloads went.
type Reloads struct {
	// Succeeded and Failed are how many did and did not.
	Succeeded, Failed uint64
	// LastSuccess is when the last one succeeded; zero: none has.
	LastSuccess time.Time
	// LastError is why the last one failed; empty if it succeeded.
	LastError string
}

// Reloads returns how reloads went so far.
func (s *Server) Reloads() Reloads {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reloads
}

// Reload replaces the configuration by the one that load returns, at once and as
// a whole. Requests under way go on as they began, and no connection is closed.
// With an error, of load too, everything stays as it is.
//
// Sites that are the same, but for a secret key that was rotated, keep their
// connections and what they have in memory. New listeners are open before those
// that are gone are closed.
func (s *Server) Reload(load func() (Config, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := load()
	if err == nil {
		err = s.apply(c)
	}
	if err != nil {
		s.reloads.Failed++
		s.reloads.LastError = err.Error()
		return err
	}
	s.reloads.Succeeded++
	s.reloads.LastSuccess, s.reloads.LastError = time.Now(), ""
	return nil
}

func (s *Server) apply(c Config) error {
	former := s.current.Load()
	next, err := s.wire(c, former)
	if err != nil {
		return err
	}
	commit, err := s.listeners.change(context.Background(), next.config.addresses(), &s.datagrams, next.config.datagramsAt())
	if err != nil {
		return err
	}
	next.routes.setSecretKeys()
	next.security.use()
	s.current.Store(next)
	began, ended := commit()
	s.serving(began)
	s.gaveUp(ended)
	former.routes.retireAllBut(next.routes)
	return nil
}

// gaveUp says what is not listened on any more. systemd goes on holding its
// sockets: clients can still connect, and nobody answers.
func (s *Server) gaveUp(addresses []string) {
	for _, address := range addresses {
		if isSystemd(address) {
			s.log.Warn("not listening any more: systemd keeps the socket open, so who connects waits until it is listened on again, or its unit is stopped", slog.String("address", address))
			continue
		}
		s.log.Info("not listening any more", slog.String("address", address))
	}
}
