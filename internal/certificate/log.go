package certificate

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logged are the fields of certmagic's that are logged, with our names for them.
// It logs more, and will log what we do not know of yet: what is not listed is
// left out, so that no secret gets by.
var logged = map[string]string{
	"attempt":        "attempt",
	"ca":             "directory",
	"challenge_type": "challenge",
	"error":          "error",
	"identifier":     "host",
	"identifiers":    "hosts",
	"issuer":         "issuer",
	"lock_key":       "lock",
	"problem":        "problem",
	"remaining":      "remaining",
	"retrying_in":    "retry_in",
	"server_name":    "host",
	"status_code":    "status",
	"subject":        "host",
	"subjects":       "hosts",
	"url":            "url",
}

// minor are warnings and errors of certmagic's that are for debugging only.
var minor = map[string]bool{
	// A failure is logged once, by onEvent, and each failed challenge.
	"could not get certificate from issuer": true,
	"validating authorization":              true,
	"will retry":                            true,
	// Anyone can cause it, by connecting.
	"tls-alpn challenge": true,
}

// bridge makes certmagic log to log. What it says at info is an account of its
// every step, for debugging; what matters of it is logged here.
func bridge(log *slog.Logger) *zap.Logger { return zap.New(zapBridge{log.Handler()}) }

// zapBridge implements zapcore.Core.
type zapBridge struct{ handler slog.Handler }

func (b zapBridge) Enabled(level zapcore.Level) bool {
	return b.handler.Enabled(context.Background(), slogLevel(level))
}

func (b zapBridge) With(fields []zapcore.Field) zapcore.Core {
	return zapBridge{b.handler.WithAttrs(attrs(fields))}
}

func (b zapBridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !b.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, b)
}

func (b zapBridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	level := slogLevel(entry.Level)
	if minor[entry.Message] || slices.ContainsFunc(fields, isCancellation) {
		level = slog.LevelDebug
	}
	ctx := context.Background()
	if !b.handler.Enabled(ctx, level) {
		return nil
	}
	record := slog.NewRecord(entry.Time, level, "acme: "+entry.Message, 0)
	record.AddAttrs(attrs(fields)...)
	return b.handler.Handle(ctx, record)
}

// isCancellation reports whether a field is the error of what was ended on
// purpose.
func isCancellation(field zapcore.Field) bool {
	err, ok := field.Interface.(error)
	return ok && errors.Is(err, context.Canceled)
}

func (b zapBridge) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	if level < zapcore.WarnLevel {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func attrs(fields []zapcore.Field) (attrs []slog.Attr) {
	for _, field := range fields {
		name, ok := logged[field.Key]
		if !ok {
			continue
		}
		values := zapcore.NewMapObjectEncoder()
		field.AddTo(values)
		attrs = append(attrs, slog.Any(name, values.Fields[field.Key]))
	}
	return attrs
}
