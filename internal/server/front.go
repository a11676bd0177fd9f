package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/front"
	"github.com/clerkproxy/clerkproxy/internal/http3"
)

const (
	// readHeaderTimeout ends connections that send their headers a byte at a
	// time to occupy the server.
	readHeaderTimeout = 10 * time.Second
	// idleConnTimeout is longer than the 60 s of common load balancers, so that
	// they close first and never send a request into a closing connection.
	idleConnTimeout = 120 * time.Second
	// stallTimeout ends answers that nobody reads. A phone in a tunnel is back by
	// then.
	stallTimeout = time.Minute
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
		StallTimeout:      stallTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Logger:            s.log,
	})
}

// accept accepts connections until the listener is closed, or the front is shut
// down; then its error is nil. Whether they speak TLS is what the configuration
// says about the address at the time.
func (s *Server) accept(f *front.Server, address string, listener net.Listener) error {
	err := f.ServeEach(listener, func() *tls.Config { return s.current.Load().secureAt(address) })
	if errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// shutDown closes connections as they become idle, and returns an error when some
// are left after the timeout. Those that are idle are left open for the grace.
func shutDown(f *fronts, grace, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return f.Shutdown(ctx, grace)
}

// fronts are all that speak HTTP with clients.
type fronts struct {
	*front.Server
	http3 *http3.Server
}

// Shutdown does what both do, at the same time.
func (f *fronts) Shutdown(ctx context.Context, grace time.Duration) error {
	over := make(chan error, 1)
	go func() { over <- f.http3.Shutdown(ctx, grace) }() // ends with ctx
	return errors.Join(f.Server.Shutdown(ctx, grace), <-over)
}

// Close does what both do.
func (f *fronts) Close() error { return errors.Join(f.Server.Close(), f.http3.Close()) }
