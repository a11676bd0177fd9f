package tracing

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// ToFrontendAPI traces the exchanges with Clerk's Frontend API. Requests travel
// as they are. What the cache of scripts answers is no exchange: the span of the
// request then says so.
func (t *Tracer) ToFrontendAPI(next http.RoundTripper) http.RoundTripper {
	return &toFrontendAPI{t, next}
}

type toFrontendAPI struct {
	*Tracer
	next http.RoundTripper
}

func (t *toFrontendAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	parent := trace.SpanFromContext(r.Context())
	if !parent.IsRecording() {
		return t.next.RoundTrip(r)
	}
	start := time.Now()
	resp, err := t.next.RoundTrip(r)
	cache := cacheStatus(resp)
	if cache != "" {
		parent.SetAttributes(attribute.String("clerk_proxy.cache_status", cache))
	}
	if strings.HasPrefix(cache, "hit") {
		return resp, err
	}
	// Nobody has to know of the span before: nothing is sent of it.
	_, span := t.startClient(r.Context(), r, trace.WithTimestamp(start), trace.WithAttributes(semconv.URLFull(withoutQuery(r.URL))))
	if resp != nil {
		if id := resp.Header.Get("X-Clerk-Trace-Id"); isID(id) {
			span.SetAttributes(attribute.String("clerk.trace_id", id))
		}
	}
	end(span, resp, err)
	return resp, err
}

// isID reports whether what an upstream calls an id looks like one.
func isID(s string) bool {
	const maxID = 128
	return s != "" && len(s) <= maxID && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// cacheStatus is what the cache of scripts has added to Cache-Status.
func cacheStatus(resp *http.Response) string {
	if resp == nil {
		return ""
	}
	lines := resp.Header["Cache-Status"]
	if len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "clerkproxy; ") {
		return ""
	}
	return strings.TrimPrefix(lines[len(lines)-1], "clerkproxy; ")
}

// withoutQuery is a URL of the Frontend API without its query and without ids.
func withoutQuery(u *url.URL) string {
	return u.Scheme + "://" + u.Host + withoutIDs(u.EscapedPath())
}

// ToApp traces the exchanges with the application, which is told the trace.
func (t *Tracer) ToApp(next http.RoundTripper) http.RoundTripper { return &toApp{t, next} }

type toApp struct {
	*Tracer
	next http.RoundTripper
}

func (t *toApp) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := t.startClient(r.Context(), r)
	told := r.Clone(ctx)
	// A stranger's state does not belong to our trace.
	told.Header.Del("Tracestate")
	t.context.Inject(ctx, propagation.HeaderCarrier(told.Header))
	resp, err := t.next.RoundTrip(told)
	end(span, resp, err)
	return resp, err
}

func (t *Tracer) startClient(ctx context.Context, r *http.Request, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	method := method(r.Method)
	attributes := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(method),
		semconv.ServerAddress(r.URL.Hostname()),
	}
	if port, err := strconv.Atoi(r.URL.Port()); err == nil {
		attributes = append(attributes, semconv.ServerPort(port))
	} else {
		attributes = append(attributes, semconv.ServerPort(map[string]int{"http": 80, "https": 443}[r.URL.Scheme]))
	}
	options = append(options, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return t.tracer.Start(ctx, name(method), options...)
}

// end ends the span of an exchange when the headers of the answer are there, or
// are not going to be.
func end(span trace.Span, resp *http.Response, err error) {
	defer span.End()
	if err != nil {
		failed(span, failure(err))
		return
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= 400 {
		failed(span, strconv.Itoa(resp.StatusCode))
	}
}

// failure is one of few words: what an error says of itself may quote what an
// upstream sent.
func failure(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "failed"
}

func failed(span trace.Span, kind string) {
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, "")
}
