package config

import (
	"fmt"
	"log/slog"
)

// Log says what the log looks like.
type Log struct {
	// Format is text or json.
	Format string `yaml:"format"`
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// Problems are what is wrong with it, by the keys of Log.
func (l Log) Problems() (problems []Problem) {
	if l.Format != "text" && l.Format != "json" {
		problems = append(problems, Problem{Key: "format", Text: fmt.Sprintf("%q is neither text nor json", l.Format)})
	}
	if _, ok := levels[l.Level]; !ok {
		problems = append(problems, Problem{Key: "level", Text: fmt.Sprintf("%q is none of debug, info, warn and error", l.Level)})
	}
	return problems
}

// SlogLevel is Level for package slog.
func (l Log) SlogLevel() slog.Level { return levels[l.Level] }
