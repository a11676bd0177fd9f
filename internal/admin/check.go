package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/check"
)

const (
	// checkEvery is how soon a check may follow another: it asks Clerk and the
	// proxy's own public URL.
	checkEvery = 10 * time.Second
	// checkTimeout is how long one may take.
	checkTimeout = 5 * time.Minute
)

// checks makes checks, one at a time, and remembers the last.
type checks struct {
	run func(ctx context.Context, found func(check.Report)) error // nil: there are none
	ctx context.Context                                           // ends what runs

	mu   sync.Mutex
	last checkStatus
	next time.Time // when another may follow
}

type checkStatus struct {
	Running bool           `json:"running"`
	At      int64          `json:"at"` // when it ended; 0: there was none
	Reports []check.Report `json:"reports"`
	Error   string         `json:"error"` // why it did not come to an end
}

// status is that of the last check; nil if there are none to make.
func (c *checks) status() *checkStatus {
	if c.run == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last
	last.Reports = append([]check.Report{}, last.Reports...)
	return &last
}

// ServeHTTP begins a check; the page sees what it finds by asking for the status.
func (c *checks) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if c.run == nil {
		http.Error(w, "this server has nothing to check", http.StatusNotFound)
		return
	}
	if wait := c.begin(); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		http.Error(w, "A check is under way, or has just been made; try again in a moment.", http.StatusTooManyRequests)
		return
	}
	go c.make() // ends after checkTimeout, or with the server
	w.WriteHeader(http.StatusAccepted)
}

// begin reserves the turn, or returns how long to wait for one.
func (c *checks) begin() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.last.Running:
		return time.Second
	case now.Before(c.next):
		return c.next.Sub(now)
	}
	c.last = checkStatus{Running: true}
	return 0
}

func (c *checks) make() {
	ctx, cancel := context.WithTimeout(c.ctx, checkTimeout)
	defer cancel()
	err := c.run(ctx, c.found)

	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.next = now.Add(checkEvery)
	c.last.Running, c.last.At = false, now.UnixMilli()
	if err != nil {
		c.last.Error = err.Error()
	}
}

func (c *checks) found(r check.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reports := slices.DeleteFunc(slices.Clone(c.last.Reports), func(other check.Report) bool { return other.ProxyURL == r.ProxyURL })
	c.last.Reports = append(reports, r)
}
