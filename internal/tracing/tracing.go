// Package tracing records a request's way as an OpenTelemetry trace: a span for
// the request, and one below it for each exchange with an upstream.
//
// A trace leaves this machine for a place that others look after. So a span
// holds no header, no query and no address of a person; the path only where it is
// one of the Frontend API's, with whatever may be an id in it left out. The
// attributes are those of OpenTelemetry's semantic conventions for HTTP, and some
// of our own that begin with clerk_proxy.
//
// Clerk gets the client's own traceparent or none: what travels to the Frontend
// API is not changed. The application gets one that continues our span.
package tracing

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Config configures a [Tracer].
type Config struct {
	// Exporter is where spans go. Required.
	Exporter sdk.SpanExporter
	// Version is the program's.
	Version string
	// Logger is told when spans cannot be sent. Nil: [slog.Default].
	Logger *slog.Logger
}

// A Tracer makes spans. Where nothing is traced there is none: a nil Tracer is
// never asked for anything.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	context  propagation.TraceContext
}

// New returns a tracer. The variables OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_… and
// OTEL_SPAN_…_LIMIT are heeded.
func New(c Config) (*Tracer, error) {
	// What the environment says goes last, and so counts.
	of, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("clerk-proxy"), semconv.ServiceVersion(c.Version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithResource(of),
		sdk.WithBatcher(&reportingExporter{SpanExporter: c.Exporter, log: cmp.Or(c.Logger, slog.Default())}))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/clerkproxy/clerkproxy", trace.WithInstrumentationVersion(c.Version))}, nil
}

// flushTimeout bounds how long the end of the program waits for the last spans
// to be sent.
const flushTimeout = 5 * time.Second

// Close sends the spans that are left, for a few seconds at most.
func (t *Tracer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// A Span is that of a request.
type Span struct {
	span trace.Span
	name string
}

// Start begins the span of a request, and returns the request with it. The trace
// that the request says it belongs to goes on if its peer is trusted; anybody
// else could have theirs sampled, or filed under the trace of another.
func (t *Tracer) Start(r *http.Request, trusted bool) (*http.Request, Span) {
	ctx := r.Context()
	if trusted {
		ctx = t.context.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	method := method(r.Method)
	ctx, span := t.tracer.Start(ctx, name(method),
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(method),
			semconv.NetworkProtocolVersion(protocol(r.ProtoMajor, r.ProtoMinor)),
		))
	return r.WithContext(ctx), Span{span, name(method)}
}

// TraceID is the id of the span's trace, to be logged; empty for one that is not
// recorded, as nobody would find it.
func (s Span) TraceID() string {
	if c := s.span.SpanContext(); c.IsSampled() {
		return c.TraceID().String()
	}
	return ""
}

// A Request is what is known of a request at its end.
type Request struct {
	Kind      string // what it was for, one of few words
	Route     string // the pattern that its path matched, such as /__clerk/*
	Site      string // the name of the site, or empty
	Path      string // escaped; empty where it is nobody's business
	Status    int
	RequestID string
	Aborted   string // who cut the answer off, or empty
}

// End ends the span.
func (s Span) End(r Request) {
	defer s.span.End()
	if !s.span.IsRecording() {
		return
	}
	attributes := []attribute.KeyValue{
		semconv.HTTPRoute(r.Route),
		semconv.HTTPResponseStatusCode(r.Status),
		attribute.String("clerk_proxy.kind", r.Kind),
		attribute.String("clerk_proxy.request_id", r.RequestID),
	}
	if r.Path != "" {
		attributes = append(attributes, semconv.URLPath(withoutIDs(r.Path)))
	}
	if r.Site != "" {
		attributes = append(attributes, attribute.String("clerk_proxy.site", r.Site))
	}
	if r.Aborted != "" {
		attributes = append(attributes, attribute.String("clerk_proxy.aborted", r.Aborted))
	}
	s.span.SetName(s.name + " " + r.Route)
	s.span.SetAttributes(attributes...)
	if r.Status >= 500 {
		failed(s.span, fmt.Sprint(r.Status))
	}
}

// methods are those that a span is named after; others are counted as one, RFC
// 9110 §9.1 and RFC 5789.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true,
	http.MethodDelete: true, http.MethodOptions: true, http.MethodConnect: true, http.MethodTrace: true,
}

const otherMethod = "_OTHER"

func method(m string) string {
	if methods[m] {
		return m
	}
	return otherMethod
}

// name is what a span of a method is called.
func name(method string) string {
	if method == otherMethod {
		return "HTTP"
	}
	return method
}

func protocol(major, minor int) string {
	if major == 1 {
		return fmt.Sprintf("1.%d", minor)
	}
	return fmt.Sprint(major)
}
