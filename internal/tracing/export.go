package tracing

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"sync"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// reportEvery is how often, at most, the log says that spans are lost.
const reportEvery = time.Minute

// A reportingExporter tells the log of its exporter's errors. The library would
// hand them to a function that is the same for the whole process.
type reportingExporter struct {
	sdk.SpanExporter
	log *slog.Logger

	mu   sync.Mutex
	lost int // spans, since the last report
	next time.Time
}

func (e *reportingExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.report(len(spans), err)
	}
	return nil // it has been dealt with
}

func (e *reportingExporter) report(lost int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += lost
	if time.Now().Before(e.next) {
		return
	}
	e.log.Warn("traces could not be sent", slog.Int("spans", e.lost), slog.String("reason", explain(err)))
	e.lost, e.next = 0, time.Now().Add(reportEvery)
}

// refusal is what a collector's answer is known by: the status of HTTP, or the
// code of gRPC.
var refusal = regexp.MustCompile(`\b[45]\d\d [A-Z][A-Za-z' -]*[a-z]|code = [A-Z]\w+`)

// explain describes an error of the exporter. It does not repeat what the
// collector said: one that refuses a token may quote it.
func explain(err error) string {
	if transport, ok := errors.AsType[*url.Error](err); ok {
		return upstream.Explain(transport.Err)
	}
	if answer := refusal.FindString(err.Error()); answer != "" {
		return "the collector refused them: " + answer
	}
	return "the collector did not take them"
}
