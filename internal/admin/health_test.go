package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/metrics"
)

// A clerk is a Frontend API that is there or not.
type clerk struct {
	down    atomic.Bool
	answers atomic.Uint64 // to requests of clients
	serving atomic.Bool   // not Clerk's, but the server's
	probes  atomic.Int64
}

func (c *clerk) health() *Health {
	h := NewHealth(HealthConfig{Serving: c.serving.Load, Answers: c.answers.Load, Origins: func() []Origin { return make([]Origin, 1) }})
	h.probe = func(context.Context, []Origin) error {
		c.probes.Add(1)
		if c.down.Load() {
			return errors.New("connection refused")
		}
		return nil
	}
	return h
}

// watched runs a health's watch for as long as the test.
func watched(t *testing.T, h *Health) *Health {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.watch(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return h
}

// ask returns the status of an answer, and the answer.
func ask(t *testing.T, h *Health, path string) (int, string) {
	t.Helper()
	s := New(Config{Health: h, Metrics: metrics.New(metrics.Config{}), Logger: discard})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func wantAnswer(t *testing.T, h *Health, path string, code int, said string) {
	t.Helper()
	got, body := ask(t, h, path)
	if got != code || !strings.Contains(body, said) {
		t.Errorf("%s: got %d %s, want %d with %q", path, got, body, code, said)
	}
	if ready := h.Ready(); path == "/readyz" && ready != (code == http.StatusOK) {
		t.Errorf("the metric says %v", ready)
	}
}

func TestAServerIsReadyWhileItServes(t *testing.T) {
	serves := false
	h := withoutClerk(func() bool { return serves })
	wantAnswer(t, h, "/readyz", 503, "starting")
	serves = true
	wantAnswer(t, h, "/readyz", 200, "connections are accepted")
	serves = false
	wantAnswer(t, h, "/readyz", 503, "draining")
	wantAnswer(t, h, "/healthz", 200, "ok")
	wantAnswer(t, h, "/readyz/frontend_api", 404, "")
}

func TestTheAnswerCanBeRead(t *testing.T) {
	_, body := ask(t, notServing(), "/readyz")
	var answer struct {
		Status string
		Checks []Check
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "not ready" || len(answer.Checks) != 1 || answer.Checks[0].Name != "serving" || answer.Checks[0].Status != "failed" {
		t.Errorf("got %+v", answer)
	}
}

// withoutClerk is the health of a server that has no Frontend API to wait for.
func withoutClerk(serving func() bool) *Health {
	return NewHealth(HealthConfig{Serving: serving, Answers: func() uint64 { return 0 }, Origins: func() []Origin { return nil }})
}

func notServing() *Health { return withoutClerk(func() bool { return false }) }

// It is noticed that it served even if nobody asked while it did.
func TestADrainIsNotTakenForAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clerk
		c.serving.Store(true)
		h := watched(t, c.health())
		synctest.Wait()
		c.serving.Store(false)
		wantAnswer(t, h, "/readyz", 503, "draining")
	})
}

// A server that cannot reach Clerk does not take the place of those that can.
func TestUntilClerkHasAnsweredAServerIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clerk
		c.down.Store(true)
		h := c.health()
		c.serving.Store(true)
		wantAnswer(t, h, "/readyz", 503, "it has not answered yet")
		watched(t, h)
		synctest.Wait()
		wantAnswer(t, h, "/readyz", 503, "connection refused")
		wantAnswer(t, h, "/readyz?exclude=frontend_api", 200, "connection refused")
		wantAnswer(t, h, "/readyz/frontend_api", 503, "connection refused")
		wantAnswer(t, h, "/readyz/serving", 200, "")

		c.down.Store(false)
		time.Sleep(retry + time.Second)
		wantAnswer(t, h, "/readyz", 200, "ready")
		wantAnswer(t, h, "/readyz/frontend_api", 200, "it answered")
		if h.LastAnswer().IsZero() {
			t.Error("it never answered")
		}
	})
}

// Once it has, the whole fleet stays where it is while Clerk is down.
func TestAServerThatIsInUseStaysReadyWithoutClerk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clerk
		h := watched(t, c.health())
		c.serving.Store(true)
		synctest.Wait()
		c.down.Store(true)
		for range 30 { // as a load balancer does
			time.Sleep(10 * time.Second)
			if code, body := ask(t, h, "/readyz"); code != 200 {
				t.Fatalf("after %s: %s", time.Since(h.LastAnswer()), body)
			}
		}
		wantAnswer(t, h, "/readyz", 200, "it has not answered for 5m")
		wantAnswer(t, h, "/readyz/frontend_api", 503, "degraded")

		c.answers.Add(1) // a client got through
		time.Sleep(time.Second)
		synctest.Wait()
		wantAnswer(t, h, "/readyz/frontend_api", 200, "just now")
	})
}

func TestClerkIsProbedOnlyWhereItMatters(t *testing.T) {
	for _, tt := range []struct {
		name             string
		down             bool
		asking, requests bool
		min, max         int64 // probes within ten minutes
	}{
		{name: "once at the start, if nobody asks", min: 1, max: 1},
		{name: "now and then, if somebody asks", asking: true, min: 18, max: 21},
		{name: "once at the start, if there are requests", asking: true, requests: true, min: 1, max: 1},
		{name: "until it has answered, if it is down", down: true, min: 100, max: 121},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c clerk
				c.down.Store(tt.down)
				h := watched(t, c.health())
				for range 60 {
					time.Sleep(10 * time.Second)
					if tt.asking {
						h.Checks()
					}
					if tt.requests {
						c.answers.Add(1)
					}
				}
				if n := c.probes.Load(); n < tt.min || n > tt.max {
					t.Errorf("%d probes", n)
				}
			})
		})
	}
}

// With another proxy after a reload the counts begin anew.
func TestAnswersThatBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clerk
		c.answers.Store(100)
		h := watched(t, c.health())
		time.Sleep(10 * time.Second)
		before := h.LastAnswer()
		c.answers.Store(0)
		time.Sleep(2 * time.Second)
		if got := h.LastAnswer(); got != before {
			t.Error("fewer answers were taken for one")
		}
		c.answers.Add(1)
		time.Sleep(2 * time.Second)
		if got := h.LastAnswer(); !got.After(before) {
			t.Error("an answer went unnoticed")
		}
	})
}

func TestProbe(t *testing.T) {
	var asked *http.Request
	fapi := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		http.Redirect(w, r, "/elsewhere", http.StatusFound) // any answer will do, and is not followed
	}))
	fapi.Config.ErrorLog = log.New(io.Discard, "", 0)
	fapi.StartTLS()
	t.Cleanup(fapi.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	roots := fapi.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, tt := range []struct {
		name    string
		origins []Origin
		want    string // of the error
	}{
		{"an origin that answers", []Origin{{fapi.URL, roots}}, ""},
		{"one of two", []Origin{{gone.URL, nil}, {fapi.URL + "/", roots}}, ""},
		{"nobody there", []Origin{{gone.URL, nil}}, "connection refused"},
		{"an authority that is not trusted", []Origin{{fapi.URL, nil}}, "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := probe(t.Context(), tt.origins)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
	if asked.URL.Path != "/v1/health" || asked.Header.Get("Clerk-Secret-Key") != "" {
		t.Errorf("asked for %s with %v", asked.URL, asked.Header)
	}
}
