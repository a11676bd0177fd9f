package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// newTracer returns a tracer, and a function that returns the spans that have
// ended.
func newTracer(t *testing.T) (*Tracer, func() map[string]tracetest.SpanStub) {
	t.Helper()
	kept := tracetest.NewInMemoryExporter()
	tr, err := New(Config{Exporter: kept, Version: "v1.2.3", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr, func() map[string]tracetest.SpanStub {
		if err := tr.provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		spans := map[string]tracetest.SpanStub{}
		for _, s := range kept.GetSpans() {
			spans[s.SpanKind.String()+" "+s.Name] = s
		}
		return spans
	}
}

// attributes are those of a span, as text.
func attributes(s tracetest.SpanStub) map[string]string {
	m := map[string]string{}
	for _, a := range s.Attributes {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

func wantAttributes(t *testing.T, s tracetest.SpanStub, want map[string]string) {
	t.Helper()
	got := attributes(s)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s of %q: got %q, want %q", key, s.Name, got[key], value)
		}
	}
	for key, value := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s of %q: got %q, want none", key, s.Name, value)
		}
	}
}

// answering is a transport that answers with a status and headers, and keeps the
// request.
type answering struct {
	status  int
	header  http.Header
	err     error
	request *http.Request
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	a.request = r
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: http.NoBody}, nil
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestARequestToTheFrontendAPI(t *testing.T) {
	tr, spans := newTracer(t)
	upstream := &answering{status: 401, header: http.Header{"X-Clerk-Trace-Id": {"0a1b2c"}}}
	rt := tr.ToFrontendAPI(upstream)

	r := httptest.NewRequest("POST", "https://app.dev/__clerk/v1/client/sessions/sess_2aBc/tokens?token=secret", nil)
	r.Header.Set("Traceparent", traceparent)
	r.Header.Set("Tracestate", "vendor=1")
	r.Header.Set("Cookie", "__session=secret")
	r, span := tr.Start(r, false)
	out := httptest.NewRequest("POST", "https://frontend-api.clerk.dev/v1/client/sessions/sess_2aBc/tokens?token=secret", nil).WithContext(r.Context())
	out.Header = r.Header.Clone()
	if _, err := rt.RoundTrip(out); err != nil {
		t.Fatal(err)
	}
	span.End(Request{Kind: "frontend_api", Route: "/__clerk/*", Site: "app.dev", Path: "/__clerk/v1/client/sessions/sess_2aBc/tokens", Status: 401, RequestID: "r1"})

	if h := upstream.request.Header; h.Get("Traceparent") != traceparent || h.Get("Tracestate") != "vendor=1" {
		t.Errorf("Clerk was not sent what the client sent: %v", h)
	}
	server, client := spans()["server POST /__clerk/*"], spans()["client POST"]
	wantAttributes(t, server, map[string]string{
		"http.request.method":       "POST",
		"http.route":                "/__clerk/*",
		"http.response.status_code": "401",
		"network.protocol.version":  "1.1",
		"url.path":                  "/__clerk/v1/client/sessions/{id}/tokens",
		"clerk_proxy.kind":          "frontend_api",
		"clerk_proxy.site":          "app.dev",
		"clerk_proxy.request_id":    "r1",
	})
	wantAttributes(t, client, map[string]string{
		"http.request.method":       "POST",
		"http.response.status_code": "401",
		"server.address":            "frontend-api.clerk.dev",
		"server.port":               "443",
		"url.full":                  "https://frontend-api.clerk.dev/v1/client/sessions/{id}/tokens",
		"clerk.trace_id":            "0a1b2c",
		"error.type":                "401",
	})
	if client.Parent.SpanID() != server.SpanContext.SpanID() || client.SpanContext.TraceID() != server.SpanContext.TraceID() {
		t.Error("the exchange with Clerk is not below the request")
	}
	if client.StartTime.Before(server.StartTime) || client.EndTime.After(server.EndTime) {
		t.Error("the exchange with Clerk is not within the request")
	}
	if server.Parent.IsValid() {
		t.Error("a stranger's trace goes on")
	}
	for _, attribute := range server.Resource.Attributes() {
		if attribute.Key == "service.name" && attribute.Value.AsString() != "clerk-proxy" {
			t.Errorf("the service is %s", attribute.Value.AsString())
		}
	}
}

func TestAnIDThatIsNoneIsLeftOut(t *testing.T) {
	for _, id := range []string{"", "a b", "a=b", "ä", strings.Repeat("a", 129)} {
		tr, spans := newTracer(t)
		r, span := tr.Start(httptest.NewRequest("GET", "https://frontend-api.clerk.dev/v1", nil), false)
		_, _ = tr.ToFrontendAPI(&answering{status: 200, header: http.Header{"X-Clerk-Trace-Id": {id}}}).RoundTrip(r)
		span.End(Request{})
		if got, ok := attributes(spans()["client GET"])["clerk.trace_id"]; ok {
			t.Errorf("got %q", got)
		}
	}
}

func TestTheTraceOfATrustedPeerGoesOn(t *testing.T) {
	tr, spans := newTracer(t)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Traceparent", traceparent)
	_, span := tr.Start(r, true)
	if got := span.TraceID(); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("the trace is %s", got)
	}
	span.End(Request{Route: "/*", Status: 200})
	if parent := spans()["server GET /*"].Parent; !parent.IsRemote() || parent.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("the parent is %v", parent)
	}
}

// The sender decides what is sampled; what is not costs no spans and has no id
// to log.
func TestWhatIsNotSampled(t *testing.T) {
	tr, spans := newTracer(t)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Traceparent", strings.TrimSuffix(traceparent, "1")+"0")
	r, span := tr.Start(r, true)
	if got := span.TraceID(); got != "" {
		t.Errorf("it has the id %s", got)
	}
	out := httptest.NewRequest("GET", "https://frontend-api.clerk.dev/", nil).WithContext(r.Context())
	if _, err := tr.ToFrontendAPI(&answering{status: 200}).RoundTrip(out); err != nil {
		t.Error(err)
	}
	span.End(Request{Route: "/*", Status: 200})
	if got := spans(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestAnAnswerOfTheCacheIsNoExchange(t *testing.T) {
	for cache, want := range map[string]int{
		"clerkproxy; hit":               1,
		"clerkproxy; fwd=stale":         2,
		"edge; hit":                     2, // another's
		"clerkproxy; hit; detail=stale": 1,
	} {
		t.Run(cache, func(t *testing.T) {
			tr, spans := newTracer(t)
			r, span := tr.Start(httptest.NewRequest("GET", "/__clerk/npm/x.js", nil), false)
			out := httptest.NewRequest("GET", "https://frontend-api.clerk.dev/npm/x.js", nil).WithContext(r.Context())
			_, _ = tr.ToFrontendAPI(&answering{status: 200, header: http.Header{"Cache-Status": {"edge; fwd=miss", cache}}}).RoundTrip(out)
			span.End(Request{Route: "/__clerk/npm/*", Status: 200})
			all := spans()
			if len(all) != want {
				t.Errorf("got %v", all)
			}
			ours, _ := strings.CutPrefix(cache, "clerkproxy; ")
			if ours == cache {
				ours = ""
			}
			if got := attributes(all["server GET /__clerk/npm/*"])["clerk_proxy.cache_status"]; got != ours {
				t.Errorf("the request says %q of the cache", got)
			}
		})
	}
}

func TestTheApplicationIsToldTheTrace(t *testing.T) {
	tr, spans := newTracer(t)
	app := &answering{status: 200}
	in := httptest.NewRequest("GET", "http://app:3000/users/ada@example.com?x=1", nil)
	in.Header.Set("Traceparent", traceparent)
	in.Header.Set("Tracestate", "vendor=1")
	r, span := tr.Start(in, false)
	if _, err := tr.ToApp(app).RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	span.End(Request{Kind: "app", Route: "/*", Status: 200})

	client := spans()["client GET"]
	want := "00-" + client.SpanContext.TraceID().String() + "-" + client.SpanContext.SpanID().String() + "-01"
	if got := app.request.Header.Get("Traceparent"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := app.request.Header.Get("Tracestate"); got != "" {
		t.Errorf("a stranger's state came along: %s", got)
	}
	if in.Header.Get("Traceparent") != traceparent {
		t.Error("the request was changed")
	}
	wantAttributes(t, client, map[string]string{
		"http.request.method": "GET", "http.response.status_code": "200", "server.address": "app", "server.port": "3000",
	})
	if got := attributes(spans()["server GET /*"])["url.path"]; got != "" {
		t.Errorf("the application's path is in the trace: %s", got)
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a client that went away", context.Canceled, "canceled"},
		{"an upstream that is slow", context.DeadlineExceeded, "timeout"},
		{"whatever else, without its words", errors.New("malformed: secret"), "failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr, spans := newTracer(t)
			r, span := tr.Start(httptest.NewRequest("GET", "https://frontend-api.clerk.dev/v1", nil), false)
			if _, err := tr.ToFrontendAPI(&answering{err: tt.err}).RoundTrip(r); err != tt.err {
				t.Errorf("got %v", err)
			}
			span.End(Request{Route: "/__clerk/*", Status: 502, Aborted: "upstream"})
			if got := attributes(spans()["client GET"])["error.type"]; got != tt.want {
				t.Errorf("the exchange: got %q, want %q", got, tt.want)
			}
			server := spans()["server GET /__clerk/*"]
			if got := attributes(server); got["error.type"] != "502" || got["clerk_proxy.aborted"] != "upstream" || server.Status.Code.String() != "Error" {
				t.Errorf("the request: got %v, %v", got, server.Status)
			}
		})
	}
}

func TestAnInventedMethodNamesNoSpan(t *testing.T) {
	tr, spans := newTracer(t)
	_, span := tr.Start(httptest.NewRequest("SECRET", "/", nil), false)
	span.End(Request{Route: "/*", Status: 405})
	if got := attributes(spans()["server HTTP /*"])["http.request.method"]; got != "_OTHER" {
		t.Errorf("got %q in %v", got, spans())
	}
}

func TestPathsWithoutIDs(t *testing.T) {
	for path, want := range map[string]string{
		"/__clerk/v1/client":                     "/__clerk/v1/client",
		"/v1/client/sign_ins/sia_2xY/prepare":    "/v1/client/sign_ins/{id}/prepare",
		"/v1/me/email_addresses/ada@example.com": "/v1/me/email_addresses/{id}",
		"/v1/x%2Fy":                              "/v1/{id}",
		"/v1/" + strings.Repeat("a", 41):         "/v1/{id}",
		"/v1/42":                                 "/v1/{id}",
		"/npm/@clerk/clerk-js@6.40.0/dist/x.js":  "/npm/@clerk/clerk-js@6.40.0/dist/x.js",
		"/v1/npm/sess_1":                         "/v1/npm/{id}",
		"/.well-known/jwks.json":                 "/.well-known/jwks.json",
		strings.Repeat("/a", 20):                 strings.Repeat("/a", 11) + "/…",
		"":                                       "",
		"/__clerk/npm/@clerk/ui@1/ui.browser.js": "/__clerk/npm/@clerk/ui@1/ui.browser.js",
	} {
		if got := withoutIDs(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// failing is an exporter that cannot send.
type failing struct {
	err  error
	wait bool // until it is told that there is no more time

	mu    sync.Mutex
	calls int
}

func (f *failing) ExportSpans(ctx context.Context, _ []sdk.ReadOnlySpan) error {
	f.mu.Lock()
	f.calls++
	f.mu.Unlock()
	if f.wait {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.err
}

func (*failing) Shutdown(context.Context) error { return nil }

func TestSpansThatCannotBeSentAreReportedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		tr, err := New(Config{
			Exporter: &failing{err: errors.New("failed to send to http://localhost: 401 Unauthorized (body: who is secret?)")},
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		lose := func() {
			_, span := tr.tracer.Start(t.Context(), "a", trace.WithNewRoot())
			span.End()
			_ = tr.provider.ForceFlush(t.Context())
		}
		for range 5 {
			lose()
		}
		time.Sleep(reportEvery)
		lose()
		_ = tr.Close()
		if n := strings.Count(log.String(), "traces could not be sent"); n != 2 {
			t.Errorf("it was said %d times", n)
		}
		if !strings.Contains(log.String(), "spans=5") || !strings.Contains(log.String(), "401 Unauthorized") || strings.Contains(log.String(), "secret") {
			t.Error(log.String())
		}
	})
}

func TestTheEndDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, err := New(Config{Exporter: &failing{wait: true}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		_, span := tr.tracer.Start(t.Context(), "a")
		span.End()
		start := time.Now()
		if err := tr.Close(); err == nil {
			t.Error("nothing was said of spans that were not sent")
		}
		if took := time.Since(start); took > flushTimeout {
			t.Errorf("it took %s", took)
		}
		time.Sleep(time.Minute) // the exporter has a limit of its own
	})
}
