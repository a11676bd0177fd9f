package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/server"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
)

// spanKeeper is an exporter that keeps what it is given.
type spanKeeper struct {
	mu    sync.Mutex
	spans tracetest.SpanStubs
}

func (k *spanKeeper) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spans = append(k.spans, tracetest.SpanStubsFromReadOnlySpans(spans)...)
	return nil
}

func (*spanKeeper) Shutdown(context.Context) error { return nil }

// buffer is a log that is written by several.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Keys, cookies, tokens and whatever else people send pass through, and are seen
// nowhere: not in the log, whatever its level, nor in a metric, on the status page
// or in a trace.
func TestSecretsAreSeenNowhere(t *testing.T) {
	secrets := []string{
		liveSecretKey,
		"cookie-s3cret", "bearer-s3cret", "query-s3cret", "password-s3cret", "ticket-s3cret",
		"answer-s3cret", "panic-s3cret", "header-s3cret",
	}
	fapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/v1/garbage": // an answer that repeats the request where it cannot be parsed
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "%s %s %s %s\r\n\r\n", r.Header.Get("Clerk-Secret-Key"), r.Header.Get("Cookie"), r.URL.RawQuery, body)
			_ = conn.Close()
		case "/v1/cut":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "answer-s3cret")
		case "/v1/error":
			w.Header().Set("X-Clerk-Trace-Id", "id answer-s3cret") // not one that is logged
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, "answer-s3cret")
		default:
			w.Header().Set("Set-Cookie", "__session=answer-s3cret")
		}
	}))
	t.Cleanup(fapi.Close)

	var log buffer
	var seen overview
	var kept spanKeeper
	tracer, err := tracing.New(tracing.Config{Exporter: &kept, Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(seen.events.Handler(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	srv, err := server.New(server.Config{
		Sites: []server.Site{{
			Hosts: []string{"app.dev"},
			Proxy: clerkproxy.Config{PublishableKey: livePublishableKey, SecretKey: liveSecretKey, FrontendAPIURL: fapi.URL, ProxyURL: "/__clerk"},
			App: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				panic(errors.New("panic-s3cret"))
			}),
			Authentication: &server.Authentication{},
		}},
		Logger:   logger,
		OnAccess: seen.follow,
		Tracer:   tracer,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen.of(srv, true, logger)
	front := httptest.NewServer(srv.Handler())
	t.Cleanup(front.Close)

	for _, path := range []string{"/__clerk/v1/client", "/__clerk/v1/error", "/__clerk/v1/garbage", "/__clerk/v1/cut", "/__clerk/npm/clerk.js", "/page", "/__clerk/v1/client/sessions/sess_s3cret/tokens"} {
		for _, host := range []string{"app.dev", "header-s3cret.dev"} {
			r, err := http.NewRequestWithContext(t.Context(), "POST", front.URL+path+"?__clerk_ticket=ticket-s3cret&token=query-s3cret", strings.NewReader("password=password-s3cret"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			r.Header.Set("Cookie", "__session=cookie-s3cret; __client_uat=1; __clerk_handshake=cookie-s3cret")
			r.Header.Set("Authorization", "Bearer bearer-s3cret")
			r.Header.Set("Clerk-Secret-Key", liveSecretKey)
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			r.Header.Set("X-Request-Id", "an id with header-s3cret")
			r.Header.Set("User-Agent", "header-s3cret")
			if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
	}
	front.Close() // when all has been written
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}

	said := map[string]string{"the log": log.b.String(), "the traces": fmt.Sprintf("%+v", kept.spans)}
	for _, path := range []string{"/", "/status.json", "/metrics", "/readyz", "/debug/pprof/cmdline"} {
		w := httptest.NewRecorder()
		seen.pages.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		said[path] = w.Body.String()
	}
	for where, text := range said {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %s", where, secret)
			}
		}
	}
	// Whose session it is, the access log tells, to be found; a trace does not.
	if strings.Contains(said["the traces"], "sess_s3cret") {
		t.Error("the traces hold the id of a session")
	}

	// None of this would show without something to be seen.
	for where, want := range map[string]string{
		"the log":      "a handler panicked",
		"the traces":   "POST /__clerk/*",
		"/status.json": "a request to Clerk's Frontend API failed",
		"/metrics":     `clerk_proxy_requests_total{code="422",kind="frontend_api",site="app.dev"} 1`,
	} {
		if !strings.Contains(said[where], want) {
			t.Errorf("%s does not hold %q:\n%s", where, want, said[where])
		}
	}
}
