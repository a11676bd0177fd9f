package admin

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// maxEvents is how many the page shows.
const maxEvents = 20

// Events remembers the last warnings and errors of a log, for the status page.
// The zero Events has none. A nil one stays empty.
type Events struct {
	mu     sync.Mutex
	events []Event // the last one first
}

// An Event is something that the log warned of. The same in a row is one.
type Event struct {
	Level   string `json:"level"`
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Count   int    `json:"count"`
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
}

// Handler returns a handler that remembers and passes on to next.
func (e *Events) Handler(next slog.Handler) slog.Handler { return eventHandler{next, e} }

type eventHandler struct {
	slog.Handler
	events *Events
}

// Enabled also has warnings handled that the log leaves out.
func (h eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, level)
}

func (h eventHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		h.events.add(r)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return eventHandler{h.Handler.WithAttrs(attrs), h.events}
}

func (h eventHandler) WithGroup(name string) slog.Handler {
	return eventHandler{h.Handler.WithGroup(name), h.events}
}

// add takes the message and the reason. Whatever else a record holds is of one
// request, and stays in the log.
func (e *Events) add(r slog.Record) {
	event := Event{Level: r.Level.String(), Message: r.Message, Count: 1, First: r.Time.UnixMilli(), Last: r.Time.UnixMilli()}
	r.Attrs(func(a slog.Attr) bool {
		is := a.Key == "reason" || a.Key == "problem"
		if is {
			event.Reason = a.Value.String()
		}
		return !is
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	// Two kinds that take turns are two lines, not twenty.
	for i, other := range e.events {
		if other.Level == event.Level && other.Message == event.Message && other.Reason == event.Reason {
			event.Count += other.Count
			event.First = other.First
			e.events = slices.Delete(e.events, i, i+1)
			break
		}
	}
	e.events = slices.Insert(e.events, 0, event)
	e.events = e.events[:min(len(e.events), maxEvents)]
}

func (e *Events) all() []Event {
	if e == nil {
		return []Event{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Event{}, e.events...)
}
