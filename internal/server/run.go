package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/front"
	"github.com/clerkproxy/clerkproxy/internal/http3"
)

const (
	// cutGrace is how long requests that are cut off have to notice.
	cutGrace = time.Second
	// idleGrace is how long an idle connection is left open while the server
	// ends: a request may be on its way, and is told to close with its answer.
	idleGrace = 2 * time.Second
)

var (
	// ErrReplaced is the cause with which the context of [Server.Run] ends when
	// another process serves the same sockets: the server ends without
	// Config.DrainDelay.
	ErrReplaced = errors.New("another process has taken over")

	// errShutdown is why a request that outlived the drain timeout was ended.
	errShutdown = errors.New("the server is shutting down")
)

// Run listens and serves until ctx is done, then ends in good order:
//
//  1. [Server.Ready] says no, and for Config.DrainDelay all goes on as before.
//  2. No more connections are accepted. Each that is open is ended by its next
//     answer, or after a moment in which it was idle.
//  3. Requests under way have Config.DrainTimeout to end. WebSockets do not end
//     by themselves; they are closed once everything else has ended.
//
// It returns nil if all requests ended in time. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errShutdown)
	front := &fronts{s.newFront(requests), s.newHTTP3(requests)}
	broken := make(chan error, 1)
	defer s.letGoOfCertificates()
	if err := s.begin(ctx, front.Server, broken); err != nil {
		return err
	}
	if s.onReady != nil {
		s.onReady()
	}
	s.beginDatagrams(front.http3, broken)
	select {
	case err := <-broken:
		_ = front.Close()
		return err
	case <-ctx.Done():
		return s.stop(ctx, front, cut)
	}
}

// Ready reports whether the server accepts connections and is going to.
func (s *Server) Ready() bool { return s.ready.Load() }

// Listeners are those that are open, by the address in Config.Listen that they
// are for. They are for passing on to another process.
func (s *Server) Listeners() map[string][]net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.listeners.open)
}

// begin opens the listeners and serves what comes.
func (s *Server) begin(ctx context.Context, front *front.Server, broken chan<- error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.listeners
	l.open = map[string][]net.Listener{}
	s.datagrams.open = map[string][]*http3.Socket{}
	l.serve = func(address string, listener net.Listener) {
		go func() { // ends when the listener is closed
			if err := s.accept(front, address, listener); err != nil {
				select {
				case broken <- fmt.Errorf("accept connections on %s: %w", listener.Addr(), err):
				default: // one reason to end is enough
				}
			}
		}()
	}
	now := &s.current.Load().config
	commit, err := l.change(ctx, now.addresses(), &s.datagrams, now.datagramsAt())
	if err != nil {
		return err
	}
	began, _ := commit()
	s.serving(began)
	l.closeUnused()
	s.datagrams.closeUnused()
	s.ready.Store(true)
	return nil
}

// serving does what follows from listeners that connections are accepted on
// from now on. s.mu is held.
func (s *Server) serving(began []opened) {
	s.noteHTTPSPort()
	s.keepCertificates()
	if s.onListen == nil {
		return
	}
	now := s.current.Load()
	for _, each := range began {
		s.onListen(each.Addr(), now.servesAt(each.address))
	}
}

// stop ends the server, gently first.
func (s *Server) stop(ctx context.Context, front *fronts, cut context.CancelCauseFunc) error {
	if s.onStop != nil {
		s.onStop()
	}
	s.ready.Store(false)
	config := s.current.Load().config
	replaced := errors.Is(context.Cause(ctx), ErrReplaced)
	if delay := config.DrainDelay; delay > 0 && !replaced {
		s.log.Info("not ready any more", slog.String("draining_in", delay.String()))
		<-s.after(delay)
	}
	drain := config.DrainTimeout
	draining := []any{slog.Int("requests", s.inFlight.now()), slog.String("timeout", drain.String())}
	if replaced {
		draining = append(draining, slog.String("because", ErrReplaced.Error()))
	}
	s.log.Info("draining", draining...)
	s.ending.Store(true)
	s.mu.Lock()
	s.listeners.end()
	s.datagrams.end()
	s.keeper.stop()
	s.mu.Unlock()
	err := shutDown(front, min(idleGrace, drain/4), drain)

	// What is left are WebSockets, of which the front knows nothing, and
	// whatever did not end in time. A handler that notices that it is cut off
	// may still answer, so connections are closed once they are idle.
	remaining := s.inFlight.now()
	cut(errShutdown)
	s.inFlight.wait(cutGrace)
	_ = shutDown(front, 0, cutGrace)
	_ = front.Close()
	s.inFlight.wait(cutGrace)
	if err != nil && remaining > 0 { // else it waited for connections on which nothing was asked
		return fmt.Errorf("requests under way did not end within the drain timeout of %s and were cut off (%d)", drain, remaining)
	}
	s.log.Info("stopped")
	return nil
}
