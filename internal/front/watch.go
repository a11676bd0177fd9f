package front

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A watch limits the time of an exchange, and ends what it waits for when its
// client goes away.
type watch struct {
	server *Server
	// unblock ends a write to the client that is under way.
	unblock func()

	mu       sync.Mutex
	active   bool
	began    int64         // by the server's clock
	patience time.Duration // how long nothing may move
	deadline int64         // when that is over; 0: never
	cause    error         // why the exchange was cut
	cut      func()
	cancel   context.CancelCauseFunc
	writing  bool // the client is to read next
}

// begin starts with an exchange.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active, w.began, w.patience, w.deadline, w.cause = true, w.server.clock.Load(), 0, 0, nil
}

// end ends the exchange, and whatever was made of its context. It returns why
// the exchange was cut, if it was.
func (w *watch) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel(context.Canceled)
	}
	w.active, w.cut, w.cancel = false, nil, nil
	return w.cause
}

// Watch implements [wire.Responder].
func (w *watch) Watch(limit time.Duration, cut func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil {
		if cut != nil {
			cut()
		}
		return
	}
	w.cut, w.patience, w.deadline = cut, limit, w.server.deadline(limit)
}

// Moved implements [wire.Responder].
func (w *watch) Moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = w.server.deadline(w.patience)
}

// Cut implements [wire.Responder].
func (w *watch) Cut() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// context is one that ends with the exchange.
func (w *watch) context(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel = cancel
	if w.cause != nil {
		cancel(contextCause(w.cause))
	}
	return ctx
}

// toClient notes that the client is to read next, or no longer. It returns why the
// exchange was cut, if it was: nothing ends what is written then.
func (w *watch) toClient(writing bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = writing
	return w.cause
}

// look cuts the exchange if it is overdue. It reports whether the exchange lasts
// so long that it is worth asking if its client is still there.
func (w *watch) look(now int64) (lasts bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deadline > 0 && now >= w.deadline {
		w.interruptLocked(wire.ErrSilent)
	}
	return w.active && now-w.began > tick.Milliseconds()
}

// interrupt cuts the exchange, if there is one.
func (w *watch) interrupt(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interruptLocked(cause)
}

func (w *watch) interruptLocked(cause error) {
	if !w.active || w.cause != nil {
		return
	}
	w.cause = cause
	if w.cut != nil {
		w.cut()
		w.cut = nil
	}
	if w.cancel != nil {
		w.cancel(contextCause(cause))
	}
	if w.writing {
		w.unblock()
	}
}

// contextCause is the cause that a request's context has for an exchange that is
// cut. Of a client that went away it is net/http's.
func contextCause(cause error) error {
	if errors.Is(cause, wire.ErrClientGone) {
		return context.Canceled
	}
	return cause
}
