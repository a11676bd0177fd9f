package admin

import (
	"context"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/metrics"
)

const (
	// step is how often the counters are read for the status page.
	step = 2 * time.Second
	// span is how far back the page looks.
	span = 5 * time.Minute
	// kept is how many readings that takes, the one that it begins with
	// included.
	kept = int(span/step) + 1
)

// A reading is what the counters said at a moment.
type reading struct {
	at       time.Time
	counts   metrics.Snapshot
	inFlight int
}

// requests are those of all kinds, by class of status.
func (r *reading) requests() (all metrics.Classes) {
	for _, kind := range r.counts.Kinds {
		all = all.Plus(kind.Classes)
	}
	return all
}

// durations are those of what was answered for somebody: a refusal takes no time,
// and would make everything look fast.
func (r *reading) durations() (all metrics.Durations) {
	for _, kind := range metrics.Kinds() {
		if kind != metrics.Refused {
			all = all.Plus(r.counts.Kinds[kind].Durations)
		}
	}
	return all
}

// A history holds the last readings.
type history struct {
	read func() reading

	mu       sync.Mutex
	readings []reading // the oldest first, never empty
}

// newHistory begins with a first reading.
func newHistory(read func() reading) *history {
	return &history{read: read, readings: []reading{read()}}
}

// watch reads until ctx is done.
func (h *history) watch(ctx context.Context) {
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.add(h.read())
		case <-ctx.Done():
			return
		}
	}
}

func (h *history) add(r reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readings) == kept {
		copy(h.readings, h.readings[1:])
		h.readings = h.readings[:kept-1]
	}
	h.readings = append(h.readings, r)
}

// all returns the readings, the oldest first.
func (h *history) all() []reading {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]reading(nil), h.readings...)
}

// before returns the youngest of the readings that is at least so much older
// than the last, or the oldest.
func before(readings []reading, d time.Duration) *reading {
	last := readings[len(readings)-1].at
	for i := len(readings) - 2; i > 0; i-- {
		// Ticks are not exact.
		if last.Sub(readings[i].at) >= d-step/2 {
			return &readings[i]
		}
	}
	return &readings[0]
}
