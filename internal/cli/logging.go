package cli

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// logFlags are those of a command that logs.
type logFlags struct{ format, level string }

func (l *logFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&l.format, "log-format", "text", "`format`: text or json")
	flags.StringVar(&l.level, "log-level", "info", "`level`: debug, info, warn or error; requests are logged at info")
}

// logger returns what the flags ask for, or a logger that says nothing.
func (l *logFlags) logger(flags *pflag.FlagSet, w io.Writer) (*slog.Logger, []error) {
	var problems []error
	var level slog.Level
	switch l.level {
	case "debug":
		level = slog.LevelDebug
	case "info":
		level = slog.LevelInfo
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	default:
		problems = append(problems, problem(flags.Lookup("log-level"), fmt.Sprintf("%q is none of debug, info, warn and error", l.level)))
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch l.format {
	case "text":
		handler = slog.NewTextHandler(w, options)
	case "json":
		handler = slog.NewJSONHandler(w, options)
	default:
		problems = append(problems, problem(flags.Lookup("log-format"), fmt.Sprintf("%q is neither text nor json", l.format)))
	}
	if len(problems) > 0 {
		return slog.New(slog.DiscardHandler), problems
	}
	return slog.New(handler), nil
}
