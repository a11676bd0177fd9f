package assets

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(200, http.Header{"Cache-Control": {"max-age=60"}}, "body")
		c := newCache(o)
		get(t, c, "/v1/client") // none of the cache's
		if got := c.Stats(); got != (Stats{}) {
			t.Errorf("before anything was asked: %+v", got)
		}
		for range 3 {
			get(t, c, file)
		}
		time.Sleep(90 * time.Second)
		get(t, c, file)
		synctest.Wait() // for the fetch in the background
		do(c, request(t.Context(), "POST", "/npm/other"))
		do(c, request(t.Context(), "GET", "/npm/other", "Cache-Control", "only-if-cached"))

		got := c.Stats()
		if got.Bytes <= int64(len("body")) || got.Bytes > 8<<20 {
			t.Errorf("%d bytes", got.Bytes)
		}
		got.Bytes = 0
		if want := (Stats{Hits: 2, Stale: 1, Misses: 3, Entries: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestStatsOfASharedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		slow := fixed(200, immutable(), "body")
		o := &origin{answer: func(r *http.Request) (*http.Response, error) { <-answer; return slow.answer(r) }}
		c := newCache(o)
		for range 5 {
			go do(c, request(t.Context(), "GET", file))
		}
		synctest.Wait() // all of them ask
		close(answer)
		synctest.Wait()
		if got := c.Stats(); got.Misses != 1 || got.Shared != 4 || got.Hits != 0 {
			t.Errorf("got %+v", got)
		}
	})
}
