package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// forApp marks a request as the application's, and makes room in its headers for
// what this server has to say: its id, and who is signed in. Clerk gets the
// headers as the client sent them.
func forApp(app http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		settleConnection(r.Header)
		dropIdentity(r.Header)
		if access := accessOf(r.Context()); access != nil {
			access.Target = TargetApp
			r.Header[requestIDHeader] = []string{access.RequestID}
		}
		app.ServeHTTP(w, r)
	})
}

// notFound answers when there is no application.
func notFound(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if access := accessOf(r.Context()); access != nil {
			access.Target = TargetNone
		}
		plainError(w, http.StatusNotFound, "This server answers under "+path+" only: it has no application to pass other requests to.")
	})
}

// newAppProxy returns a reverse proxy to the application at target. The
// request arrives there as the client sent it, with its Host, and with
// X-Forwarded-For, -Host and -Proto that can be believed.
func newAppProxy(target *url.URL, transport http.RoundTripper, policy forwarded.Policy, log *slog.Logger) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { rewriteForApp(r, target, policy) },
		Transport:     timed(transport),
		FlushInterval: -1, // events are worth nothing late
		BufferPool:    buffers{},
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			appFailed(w, r, err, log)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// CONNECT is for forward proxies. It has no path to forward.
		if r.Method == http.MethodConnect {
			plainError(w, http.StatusMethodNotAllowed, "This server is not a forward proxy.")
			return
		}
		// net/http would have it be a part of the path. [wire.IsTarget] says why not.
		if strings.Contains(r.RequestURI, "#") {
			plainError(w, http.StatusBadRequest, "The request's target has a hash sign in it.")
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// appTransport makes the connections to the application.
func appTransport(timeout time.Duration) *http.Transport {
	// WebSockets are upgraded from HTTP/1.1.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: timeout,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   256, // one application: the limit that matters is the one a host
		DisableCompression:    true,
		Protocols:             protocols,
	}
}

// rewriteForApp addresses a request to the application. httputil has removed
// Forwarded and X-Forwarded-For, -Host and -Proto from r.Out.
func rewriteForApp(r *httputil.ProxyRequest, target *url.URL, policy forwarded.Policy) {
	source := policy.Source(r.In)
	r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
	r.Out.Host = r.In.Host
	upstream.SetPath(r.Out.URL, strings.TrimRight(target.EscapedPath(), "/")+upstream.SentPath(r.In.URL))
	r.Out.URL.RawQuery = r.In.URL.RawQuery // httputil drops what it cannot parse

	if source.PeerTrusted {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}
	for name := range r.Out.Header {
		// Many applications take an underscore for a hyphen.
		plain := forwarded.Plain(name)
		if (!source.PeerTrusted || plain != name) && policy.Vouches(plain) {
			delete(r.Out.Header, name)
		}
	}
	r.SetXForwarded()
	r.Out.Header["X-Forwarded-Proto"] = []string{source.Scheme}
	if source.Host != "" {
		r.Out.Header["X-Forwarded-Host"] = []string{source.Host}
	}

	// These mean something between a proxy and Clerk only.
	delete(r.Out.Header, "Clerk-Secret-Key")
	delete(r.Out.Header, "Clerk-Proxy-Url")
}

// appFailed answers for an application that did not.
func appFailed(w http.ResponseWriter, r *http.Request, err error, log *slog.Logger) {
	var timeout net.Error
	status, message := http.StatusBadGateway, "The application behind this server could not be reached, or gave an answer that is not valid. The server's log says which."
	switch ctx := r.Context(); {
	case errors.Is(context.Cause(ctx), errShutdown):
		status, message = http.StatusServiceUnavailable, "This server is shutting down."
	case ctx.Err() != nil:
		w.WriteHeader(statusClientClosedRequest)
		return
	case errors.As(err, &timeout) && timeout.Timeout():
		status, message = http.StatusGatewayTimeout, "The application behind this server did not answer in time."
	}
	log.LogAttrs(r.Context(), slog.LevelWarn, "a request to the application failed",
		slog.Int("status", status), slog.String("reason", appFailure(r.Context(), err)))
	plainError(w, status, message)
}

func appFailure(ctx context.Context, err error) string {
	if errors.Is(context.Cause(ctx), errShutdown) {
		return errShutdown.Error()
	}
	return upstream.Explain(err)
}

// bufferPool holds what travels through an httputil.ReverseProxy.
var bufferPool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// buffers implements httputil.BufferPool.
type buffers struct{}

func (buffers) Get() []byte  { return bufferPool.Get().(*[32 << 10]byte)[:] }
func (buffers) Put(b []byte) { bufferPool.Put((*[32 << 10]byte)(b)) }
