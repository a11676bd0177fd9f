package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// readHeaderTimeout ends connections that send their headers a byte at a
	// time to occupy the server.
	readHeaderTimeout = 10 * time.Second
	// idleConnTimeout is longer than the 60 s of common load balancers, so that
	// they close first and never send a request into a closing connection.
	idleConnTimeout = 120 * time.Second
	// maxHeaderBytes leaves room for Clerk's cookies, of several instances and
	// with a handshake among them: twice what nginx accepts.
	maxHeaderBytes = 64 << 10
)

// A front speaks HTTP with clients: it is net/http's server. Whatever replaces it
// does the same.
type front struct {
	http  *http.Server
	conns inFlight // but for those that have switched protocols
}

// newFront makes a front. Requests get a context that ends with ctx, and with its
// cause.
func newFront(ctx context.Context, handler http.Handler, log *slog.Logger) *front {
	f := new(front)
	f.http = &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         f.count,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleConnTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return f
}

func (f *front) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		f.conns.add(1)
	case http.StateClosed, http.StateHijacked:
		f.conns.add(-1)
	}
}

// serve accepts connections until the listener is closed, or the front is shut
// down; then its error is nil.
func (f *front) serve(listener net.Listener) error {
	err := f.http.Serve(listener)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shutDown closes connections as they become idle, and returns an error when some
// are left after the timeout.
func (f *front) shutDown(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return f.http.Shutdown(ctx)
}

// close closes all connections.
func (f *front) close() { _ = f.http.Close() }
