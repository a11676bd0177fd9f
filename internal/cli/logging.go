package cli

import (
	"io"
	"log/slog"

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
