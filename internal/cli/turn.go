package cli

import (
	"context"
	"log/slog"
	"maps"
	"net"

	"github.com/clerkproxy/clerkproxy/internal/handover"
)

// A turn is a process's place between the one that has served before it and the
// one that is going to.
type turn struct {
	path    string // empty: nothing is handed over
	sockets map[string][]net.Listener
	conns   map[string][]net.Conn // for datagrams
	former  *handover.Predecessor // nil: there is none
	offer   handover.Offer
	open    bool
}

// takeTurn collects the sockets that are there for this process.
func takeTurn(ctx context.Context, path string, log *slog.Logger) (*turn, error) {
	sockets, conns := systemdSockets()
	t := &turn{path: path, sockets: sockets, conns: conns}
	if path == "" {
		return t, nil
	}
	var err error
	if t.former, err = handover.Ask(ctx, path); err != nil {
		return nil, err
	}
	if t.former != nil {
		log.Info("taking over", slog.String("handover", path))
		maps.Copy(t.sockets, t.former.Sockets)
		maps.Copy(t.conns, t.former.Conns)
	}
	return t, nil
}

// begin is called when this process serves.
func (t *turn) begin(log *slog.Logger) {
	if t.path == "" {
		return
	}
	if t.former != nil {
		if err := t.former.Replace(); err != nil { // most likely it has ended by itself
			log.Warn("the former process may still be there", slog.String("reason", err.Error()))
		}
	}
	if err := t.offer.Open(t.path); err != nil {
		log.Error("the next process cannot take over", slog.String("reason", err.Error()))
		return
	}
	t.open = true
}

// end lets go of whoever came before and after.
func (t *turn) end() {
	if t.former != nil {
		_ = t.former.Close() // if this process never served, that one goes on
	}
	if t.open {
		t.offer.Close()
	}
}
