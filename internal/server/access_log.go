package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// Who a request went to, [Access].Target.
const (
	TargetClerk = "clerk"
	TargetApp   = "app"
	TargetNone  = "none" // no site has the host, or the site no application
)

// Why a request was cut off, [Access].Aborted.
const (
	AbortedByClient   = "client"
	AbortedByUpstream = "upstream"
	AbortedByShutdown = "shutdown"
)

const (
	// statusClientClosedRequest is nginx's: the client did not wait.
	statusClientClosedRequest = 499

	maxLoggedMethod = 32
	maxLoggedPath   = 256
)

// Access is the record of a request. It holds no header, no query and no key.
type Access struct {
	// Start is when the request's headers had arrived.
	Start time.Time
	// Method and Path are the request's, the path escaped and without the
	// query; both are cut when they are long.
	Method, Path string
	// Site is the name of the site that has the request's host, or empty.
	Site string
	// Target is who it went to, [TargetClerk], [TargetApp] or [TargetNone].
	Target string
	// Asset is whether it asked for one of Clerk's scripts, below /npm/.
	Asset bool
	// AuthStatus and AuthReason are the decision of package auth, where the site
	// has it: signed-in, signed-out or handshake, and why. A handshake is
	// answered by this server: the application does not get the request.
	AuthStatus, AuthReason string
	// Status is that of the answer; 499 when the client went away.
	Status int
	// Bytes is the length of the answer's body.
	Bytes int64
	// Duration is the time until the answer had been written.
	Duration time.Duration
	// Upstream is the part of Duration until the headers of the upstream's
	// answer. Zero: no upstream was asked.
	Upstream time.Duration
	// RequestID is the id of the request, that of the proxy in front if it
	// gave one. It may be empty where requests are not logged.
	RequestID string
	// ClientIP is the address of the client, invalid if it is not known, and
	// where requests are not logged perhaps.
	ClientIP netip.Addr
	// ClerkTraceID is the id by which Clerk knows the request, or empty.
	ClerkTraceID string
	// TraceID is the id of the trace that the request is recorded in, or empty.
	TraceID string
	// Aborted says who cut the answer off: [AbortedByClient] and so on. Empty:
	// it is whole.
	Aborted string

	source    forwarded.Source
	several   bool   // there are sites to tell apart
	proxyPath string // of the site
}

// accessOf is the record of the request that a context belongs to, or nil. It
// belongs to the request's goroutine.
func accessOf(ctx context.Context) *Access {
	a, _ := wire.RecordOf(ctx).(*Access)
	return a
}

// Answered implements [wire.Record].
func (a *Access) Answered(after time.Duration, id string) {
	a.Upstream = after
	if harmlessID(id) {
		a.ClerkTraceID = id
	}
}

// accessLog writes a line a request, when it has ended. Several says that there
// are sites to tell apart; hsts is what browsers are told over TLS.
func (s *Server) accessLog(policy forwarded.Policy, hsts string, several bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := policy.Source(r)
		access := &Access{
			Start:     time.Now(),
			Method:    truncate(r.Method, maxLoggedMethod),
			Path:      truncate(r.URL.EscapedPath(), maxLoggedPath),
			Target:    TargetNone,
			RequestID: requestID(r.Header, source.PeerTrusted),
			ClientIP:  source.ClientIP,
			source:    source,
			several:   several,
		}
		r = r.WithContext(&wire.RecordContext{Context: r.Context(), Record: access})
		var span tracing.Span
		if s.tracer != nil {
			r, span = s.tracer.Start(r, source.PeerTrusted)
			access.TraceID = span.TraceID()
		}
		response := &response{ResponseWriter: w, ending: &s.ending, last: isChunked(r)}
		if r.TLS != nil {
			response.hsts = hsts
			if now := s.current.Load(); now.config.HTTP3 && r.ProtoMajor < 3 {
				response.altSvc = now.alternativeFor(r.Host, func(name string) bool { return len(r.Header[name]) > 0 })
			}
		}
		defer func() {
			panicked := recover()
			if panicked == nil {
				response.implicitOK() // net/http sends it when a handler says nothing
			}
			access.finish(response, panicked != nil, context.Cause(r.Context()))
			if s.tracer != nil {
				span.End(access.traced())
			}
			if s.onAccess != nil {
				s.onAccess(*access)
			}
			s.log.LogAttrs(r.Context(), slog.LevelInfo, "request", access.attrs()...)
			if panicked != nil {
				panic(panicked)
			}
		}()
		next.ServeHTTP(response, r)
	})
}

// finish fills in what is known at the end: the answer, whether it was cut, and
// why the request ended before its time, nil if it did not.
func (a *Access) finish(answer *response, cut bool, ended error) {
	a.Duration = time.Since(a.Start)
	a.Status, a.Bytes = answer.status, answer.bytes
	switch {
	case !cut && a.Status != statusClientClosedRequest:
	case errors.Is(ended, errShutdown):
		a.Aborted = AbortedByShutdown
	case ended != nil && ended != wire.ErrSilent:
		a.Aborted, a.Status = AbortedByClient, statusClientClosedRequest
	case cut:
		a.Aborted = AbortedByUpstream
	}
}

func (a *Access) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 14)
	attrs = append(attrs,
		slog.String("method", a.Method),
		slog.String("path", a.Path),
		slog.Int("status", a.Status),
		slog.Int64("bytes", a.Bytes),
		slog.Float64("duration_ms", milliseconds(a.Duration)),
		slog.String("target", a.Target))
	if a.several {
		attrs = append(attrs, slog.String("site", a.Site))
	}
	if a.AuthStatus != "" {
		attrs = append(attrs, slog.String("auth", a.AuthStatus))
	}
	if a.AuthReason != "" {
		attrs = append(attrs, slog.String("auth_reason", a.AuthReason))
	}
	if a.Upstream > 0 {
		attrs = append(attrs, slog.Float64("upstream_ms", milliseconds(a.Upstream)))
	}
	if a.ClientIP.IsValid() {
		attrs = append(attrs, slog.String("client_ip", a.ClientIP.String()))
	}
	if a.ClerkTraceID != "" {
		attrs = append(attrs, slog.String("clerk_trace_id", a.ClerkTraceID))
	}
	if a.TraceID != "" {
		attrs = append(attrs, slog.String("trace_id", a.TraceID))
	}
	if a.Aborted != "" {
		attrs = append(attrs, slog.String("aborted", a.Aborted))
	}
	return attrs // the logger adds the request id
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
