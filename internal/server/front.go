package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/front"
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

// newFront makes what speaks HTTP with clients. Requests get a context that ends
// with ctx, and with its cause.
func (s *Server) newFront(ctx context.Context) *front.Server {
	return front.New(front.Config{
		Handler:           s.handler,
		Exchanges:         plain{s},
		BaseContext:       ctx,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleConnTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Logger:            s.log,
	})
}

// accept accepts connections until the listener is closed, or the front is shut
// down; then its error is nil.
func accept(f *front.Server, listener net.Listener) error {
	err := f.Serve(listener, nil)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shutDown closes connections as they become idle, and returns an error when some
// are left after the timeout. Those that are idle are left open for the grace.
func shutDown(f *front.Server, grace, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return f.Shutdown(ctx, grace)
}
