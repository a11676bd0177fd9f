package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// When the Frontend API is asked whether it is there.
const (
	// quiet is how long nothing may have been heard of it before it is asked.
	quiet = 30 * time.Second
	// retry is how soon it is asked again when it did not answer.
	retry = 5 * time.Second
	// probeTimeout is how long it may take.
	probeTimeout = 5 * time.Second
	// interest is for how long somebody who asked is taken to want to know.
	interest = 2 * time.Minute
	// lately is how long it may have been silent, with probes failing, before
	// it is said to be.
	lately = 2 * time.Minute
)

// HealthConfig says what health is judged by. All of it is required.
type HealthConfig struct {
	// Serving is whether the server accepts connections and is going to.
	Serving func() bool
	// Answers is how many requests the Frontend API has answered so far. A
	// smaller number than before begins anew.
	Answers func() uint64
	// Origins are the Frontend APIs in use; one of them is enough. None: the
	// Frontend API does not count.
	Origins func() []Origin
}

// Health knows whether the server wants traffic.
//
// The Frontend API counts for readiness until it has answered once, and then no
// more: a server that cannot reach it must not take the place of those that can,
// but once it is in use, leaving would help nobody. The others behind the load
// balancer would leave at the same time, and with them the application.
type Health struct {
	config HealthConfig
	probe  func(context.Context, []Origin) error

	mu         sync.Mutex
	served     bool // once; a server that does not any more is about to end
	answers    uint64
	lastAnswer time.Time // zero: there was none
	lastProbe  time.Time
	asked      time.Time // when somebody last wanted to know
	problem    string    // of the last probe; empty: none, or there was an answer since
}

// NewHealth returns the health of a server.
func NewHealth(c HealthConfig) *Health { return &Health{config: c, probe: probe} }

// Ready reports whether the server wants traffic.
func (h *Health) Ready() bool { return ready(h.Checks(), "") }

// LastAnswer is when the Frontend API last answered; zero if it never has. Who
// asks is taken to want to know: it is probed if it has been quiet.
func (h *Health) LastAnswer() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = time.Now()
	return h.lastAnswer
}

// A Check is one of the things that readiness depends on.
type Check struct {
	Name   string `json:"name"`
	Status string `json:"status"` // one of ok, degraded, failed
	Reason string `json:"reason"`
}

const (
	statusOK       = "ok"
	statusDegraded = "degraded" // it is said, but does not count
	statusFailed   = "failed"

	checkServing  = "serving"
	checkUpstream = "frontend_api"
)

// Checks are all there are.
func (h *Health) Checks() []Check {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.asked = now
	checks := []Check{h.serving()}
	if len(h.config.Origins()) > 0 {
		checks = append(checks, h.upstream(now))
	}
	return checks
}

// serving is the check of the server itself. mu is held.
func (h *Health) serving() Check {
	switch {
	case h.config.Serving():
		h.served = true
		return Check{checkServing, statusOK, "connections are accepted"}
	case h.served:
		return Check{checkServing, statusFailed, "draining: requests under way end, new ones are not wanted"}
	default:
		return Check{checkServing, statusFailed, "starting: connections are not accepted yet"}
	}
}

// upstream is the check of the Frontend API. mu is held.
func (h *Health) upstream(now time.Time) Check {
	silent := now.Sub(h.lastAnswer).Round(time.Second)
	switch {
	case h.lastAnswer.IsZero() && h.problem == "":
		return Check{checkUpstream, statusFailed, "it has not answered yet"}
	case h.lastAnswer.IsZero():
		return Check{checkUpstream, statusFailed, "it has never answered since the start: " + h.problem}
	case h.problem != "" && silent > lately:
		return Check{checkUpstream, statusDegraded, fmt.Sprintf("it has not answered for %s: %s", silent, h.problem)}
	case silent < 2*time.Second:
		return Check{checkUpstream, statusOK, "it answered just now"}
	default:
		return Check{checkUpstream, statusOK, fmt.Sprintf("it answered %s ago", silent)}
	}
}

// ready reports whether no check has failed, but for one that is excluded.
func ready(checks []Check, exclude string) bool {
	for _, c := range checks {
		if c.Status == statusFailed && c.Name != exclude {
			return false
		}
	}
	return true
}

// watch keeps an eye on the Frontend API until ctx is done.
func (h *Health) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		h.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Health) look(ctx context.Context) {
	h.mu.Lock()
	h.serving() // or nobody may have noticed that it did
	h.mu.Unlock()
	origins := h.config.Origins()
	if len(origins) == 0 || !h.probeIsDue() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := h.probe(ctx, origins)

	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastProbe = time.Now()
	if err != nil {
		h.problem = err.Error()
		return
	}
	h.lastAnswer, h.problem = h.lastProbe, ""
}

// probeIsDue takes note of what was answered, and reports whether nothing was for
// so long that it is time to ask.
func (h *Health) probeIsDue() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	answers := h.config.Answers()
	if answers > h.answers {
		h.lastAnswer, h.problem = now, ""
	}
	h.answers = answers
	switch {
	case h.lastAnswer.IsZero(), h.problem != "":
		return now.Sub(h.lastProbe) >= retry && (h.lastAnswer.IsZero() || now.Sub(h.asked) < interest)
	default:
		return now.Sub(h.lastAnswer) >= quiet && now.Sub(h.asked) < interest
	}
}

// live answers as long as the process does anything at all.
func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": statusOK})
}

// serveReady answers 200 or 503, and why. With ?exclude=frontend_api that check
// does not count.
func (h *Health) serveReady(w http.ResponseWriter, r *http.Request) {
	checks := h.Checks()
	answer := struct {
		Status string  `json:"status"`
		Checks []Check `json:"checks"`
	}{"ready", checks}
	code := http.StatusOK
	if !ready(checks, r.URL.Query().Get("exclude")) {
		answer.Status, code = "not ready", http.StatusServiceUnavailable
	}
	writeJSON(w, code, answer)
}

// serveCheck answers by a single check: 503 unless it is ok, degraded too.
func (h *Health) serveCheck(w http.ResponseWriter, r *http.Request) {
	for _, c := range h.Checks() {
		if c.Name != r.PathValue("check") {
			continue
		}
		code := http.StatusOK
		if c.Status != statusOK {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, c)
		return
	}
	http.NotFound(w, r)
}

func writeJSON(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}
