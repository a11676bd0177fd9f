package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// cutGrace is how long requests that are cut off have to notice.
const cutGrace = time.Second

// errShutdown is why a request that outlived the drain timeout was ended.
var errShutdown = errors.New("the server is shutting down")

// Run listens and serves until ctx is done. Then it accepts no more
// connections, gives the requests under way the drain timeout to end, and
// returns nil if they did. WebSockets do not end by themselves; they are closed
// once everything else has ended.
func (s *Server) Run(ctx context.Context) error {
	listeners, err := listenAll(ctx, s.listen)
	if err != nil {
		return err
	}
	requests, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errShutdown)
	front := newFront(requests, s.handler, s.log)
	served := make(chan error, len(listeners))
	for _, listener := range listeners {
		go func() { // ends when the front is shut down
			served <- fmt.Errorf("accept connections on %s: %w", listener.Addr(), front.Serve(listener))
		}()
	}
	if s.onListen != nil {
		for _, listener := range listeners {
			s.onListen(listener.Addr())
		}
	}

	select {
	case err := <-served:
		_ = front.Close()
		return err
	case <-ctx.Done():
		return s.stop(front, cut)
	}
}

// stop ends the server, gently first.
func (s *Server) stop(front *http.Server, cut context.CancelCauseFunc) error {
	s.log.Info("draining", slog.Int("requests", s.inFlight.now()), slog.Duration("timeout", s.drain))
	err := shutdown(front, s.drain)

	// What is left are WebSockets, of which Shutdown knows nothing, and
	// whatever did not end in time. A handler that notices that it is cut off
	// may still answer, so connections are closed once they are idle.
	remaining := s.inFlight.now()
	cut(errShutdown)
	s.inFlight.wait(cutGrace)
	_ = shutdown(front, cutGrace)
	_ = front.Close()
	s.inFlight.wait(cutGrace)
	if err != nil && remaining > 0 { // else it waited for connections on which nothing was asked
		return fmt.Errorf("requests under way did not end within the drain timeout of %s and were cut off (%d)", s.drain, remaining)
	}
	s.log.Info("stopped")
	return nil
}

func shutdown(front *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return front.Shutdown(ctx)
}
