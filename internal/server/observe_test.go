package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
)

func TestKindsOfRequests(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "an answer")
	})
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	f := start(t, Site{
		Hosts:  []string{"app.dev"},
		AppURL: app,
		Proxy:  clerkproxy.Config{FrontendAPIURL: fapi.String(), AssetCache: 1 << 20},
	})
	for _, tt := range []struct{ method, host, path, kind, route string }{
		{"GET", "app.dev", "/__clerk/v1/client", "frontend_api", "/__clerk/*"},
		{"GET", "app.dev", "/__clerk/npm/clerk.js", "asset", "/__clerk/npm/*"},
		{"GET", "app.dev", "/__clerk/npm/clerk.js", "asset", "/__clerk/npm/*"}, // from memory
		{"GET", "app.dev", "/__clerk/v1/npm/x", "frontend_api", "/__clerk/*"},
		{"GET", "app.dev", "/npm/clerk.js", "app", "/*"},
		{"GET", "app.dev", "/", "app", "/*"},
		{"TRACE", "app.dev", "/__clerk/npm/clerk.js", "refused", "/__clerk/npm/*"},
		{"GET", "elsewhere.dev", "/__clerk/v1/client", "refused", "/*"},
		{"GET", "elsewhere.dev", "/", "refused", "/*"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, f.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		do(t, r)
		access := await(t, f.access)
		if got := access.Kind().String(); got != tt.kind {
			t.Errorf("%s %s%s is %s, want %s", tt.method, tt.host, tt.path, got, tt.kind)
		}
		if got := access.route(); got != tt.route {
			t.Errorf("%s %s%s has the route %s, want %s", tt.method, tt.host, tt.path, got, tt.route)
		}
	}
}

func TestTheSitesThatAreServed(t *testing.T) {
	s, err := New(Config{Sites: []Site{
		withKeys(Site{Hosts: []string{"a.dev"}}),
		withKeys(Site{Name: "rest", Proxy: clerkproxy.Config{ProxyURL: "/auth"}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	served := s.Served()
	if len(served) != 2 || served[0].Name != "a.dev" || served[1].Name != "rest" || served[1].Proxy.Path() != "/auth" || s.InFlight() != 0 {
		t.Errorf("got %+v", served)
	}
}

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

// tracedBy has a server record traces. The function that it returns ends that,
// and returns the spans.
func tracedBy(t testing.TB) (option func(*Config), spans func() tracetest.SpanStubs) {
	t.Helper()
	var kept spanKeeper
	tracer, err := tracing.New(tracing.Config{Exporter: &kept, Version: "v1.2.3", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close() })
	return func(c *Config) { c.Tracer = tracer }, func() tracetest.SpanStubs {
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		return kept.spans
	}
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// A proxy in front that is trusted begins the trace; the application goes on with
// it, and Clerk gets what the client sent.
func TestTracesFromTheProxyInFrontToTheApplication(t *testing.T) {
	told := make(chan string, 2)
	upstream := func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Traceparent")
		w.Header().Set("X-Clerk-Trace-Id", "0a1b2c")
	}
	fapi, app := serve(t, upstream), serve(t, upstream)
	option, spans := tracedBy(t)
	f := start(t, Site{AppURL: app, Proxy: clerkproxy.Config{FrontendAPIURL: fapi.String()}}, option)

	header := http.Header{"Traceparent": {traceparent}}
	f.get(t, "/__clerk/v1/client?token=secret", header)
	if got := await(t, told); got != traceparent {
		t.Errorf("Clerk was told %s", got)
	}
	clerk := await(t, f.access)
	f.get(t, "/page", header)
	if got := await(t, told); !strings.HasPrefix(got, traceparent[:36]) || got == traceparent {
		t.Errorf("the application was told %s", got)
	}
	await(t, f.access)

	if clerk.TraceID != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the record says %q", clerk.TraceID)
	}
	if line := f.log.entries(t, "request")[0]; line["trace_id"] != clerk.TraceID {
		t.Errorf("the access log says %v", line["trace_id"])
	}
	var names []string
	for _, s := range spans() {
		names = append(names, s.SpanKind.String()+" "+s.Name)
		if s.SpanContext.TraceID().String() != clerk.TraceID {
			t.Errorf("%s is of the trace %s", s.Name, s.SpanContext.TraceID())
		}
	}
	if got := strings.Join(names, ", "); got != "client GET, server GET /__clerk/*, client GET, server GET /*" {
		t.Errorf("the spans are %s", got)
	}
}

func TestAStrangersTraceDoesNotGoOn(t *testing.T) {
	option, _ := tracedBy(t)
	f := start(t, Site{}, option, trusting([]netip.Prefix{}))
	f.get(t, "/", http.Header{"Traceparent": {traceparent}})
	if got := await(t, f.access).TraceID; got == "" || strings.Contains(traceparent, got) {
		t.Errorf("the trace is %q", got)
	}
}

// BenchmarkTracing is a request as it is served without a tracer, and with one.
// Without, there is nothing of it in its way.
func BenchmarkTracing(b *testing.B) {
	for _, traced := range []bool{false, true} {
		b.Run(fmt.Sprintf("traced=%v", traced), func(b *testing.B) {
			c := Config{
				Sites:  []Site{withKeys(Site{App: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })})},
				Logger: slog.New(slog.DiscardHandler),
			}
			if traced {
				option, _ := tracedBy(b)
				option(&c)
			}
			s, err := New(c)
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest("GET", "http://app.dev/", nil)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				w.Body.Reset()
				s.Handler().ServeHTTP(w, r)
			}
		})
	}
}
