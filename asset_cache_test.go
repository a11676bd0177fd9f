package clerkproxy

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
)

// With a cache, Clerk's scripts are fetched once, and nothing else is kept.
func TestAssetCache(t *testing.T) {
	var asked atomic.Int64
	upstream := func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		switch r.URL.Path {
		case "/npm/@clerk/clerk-js@6/dist/clerk.browser.js":
			w.Header().Set("Location", "/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js")
			w.WriteHeader(http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, "answer to ", r.URL.Path, " for ", r.Header.Get("Cookie"))
		}
	}
	tests := []struct {
		name, target string
		cache        int64
		fetches      int64
		status       int
		location     string
	}{
		{"an exact version", "/__clerk/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js", 1 << 20, 1, 200, ""},
		{"a redirect to one", "/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js", 1 << 20, 1, 307, "http://app.dev/__clerk/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js"},
		{"anything else, whatever it says", "/__clerk/v1/environment", 1 << 20, 3, 200, ""},
		{"without a cache", "/__clerk/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js", 0, 3, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked.Store(0)
			addr := serve(t, newProxy(t, Config{AssetCache: tt.cache}, upstream))
			for i := range 3 {
				resp := send(t, addr, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: app.dev\r\nCookie: person=%d\r\n\r\n", tt.target, i))
				if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location {
					t.Errorf("got %d %s", resp.StatusCode, resp.Header.Get("Location"))
				}
				body(t, resp)
			}
			if asked.Load() != tt.fetches {
				t.Errorf("asked %d times, want %d", asked.Load(), tt.fetches)
			}
		})
	}
}
