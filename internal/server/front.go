package server

import (
	"context"
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

// newFront makes what speaks HTTP with clients. Requests are given a context
// that ends with ctx, and with its cause.
func newFront(ctx context.Context, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleConnTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
