package cli

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

// addLogFlags adds the flags of a command that logs.
func addLogFlags(flags *pflag.FlagSet, c *config.Log) {
	flags.StringVar(&c.Format, "log-format", "text", "`format`: text or json")
	flags.StringVar(&c.Level, "log-level", "info", "`level`: debug, info, warn or error; requests are logged at info")
}

// logProblems are what is wrong with those flags.
func logProblems(flags *pflag.FlagSet, c config.Log) (problems []error) {
	for _, p := range c.Problems() {
		problems = append(problems, problem(flags.Lookup("log-"+p.Key), p.Text))
	}
	return problems
}

// newLogHandler returns what writes a log as it was asked for.
func newLogHandler(c config.Log, w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: c.SlogLevel()}
	if c.Format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// A logSwitch is a handler in front of another one, which can be replaced while it
// is in use.
type logSwitch struct{ to atomic.Pointer[slog.Handler] }

func newLogSwitch(to slog.Handler) *logSwitch {
	s := new(logSwitch)
	s.set(to)
	return s
}

func (s *logSwitch) set(to slog.Handler) { s.to.Store(&to) }

func (s *logSwitch) Enabled(ctx context.Context, level slog.Level) bool {
	return (*s.to.Load()).Enabled(ctx, level)
}

func (s *logSwitch) Handle(ctx context.Context, r slog.Record) error {
	return (*s.to.Load()).Handle(ctx, r)
}

// WithAttrs and WithGroup are for good: what they return is not switched.
func (s *logSwitch) WithAttrs(attrs []slog.Attr) slog.Handler { return (*s.to.Load()).WithAttrs(attrs) }
func (s *logSwitch) WithGroup(name string) slog.Handler       { return (*s.to.Load()).WithGroup(name) }
