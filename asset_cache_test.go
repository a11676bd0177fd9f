package clerkproxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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

// Where only the connection's end ends a file, half a file looks like a whole one.
func TestAFileThatMayBeCutShortIsNotKept(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		asked  int64 // for two requests
	}{
		"of known length":           {"HTTP/1.1 200 OK\nContent-Length: 4\n", 1},
		"in chunks":                 {"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n", 1},
		"that ends the connection":  {"HTTP/1.1 200 OK\nConnection: close\n", 3},
		"that ends with HTTP/1.0's": {"HTTP/1.0 200 OK\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			sent, whole := "half", tt.answer+"Cache-Control: public, max-age=31536000, immutable\n\n"
			if strings.Contains(whole, "chunked") {
				sent = "4\r\nhalf\r\n0\r\n\r\n"
			}
			fapi := scriptedUpstream(t, func(conn net.Conn) {
				asked.Add(1)
				_, _ = io.WriteString(conn, strings.ReplaceAll(whole, "\n", "\r\n")+sent)
			})
			addr := serve(t, newProxyTo(t, Config{AssetCache: 1 << 20}, fapi))
			for range 2 {
				resp := send(t, addr, "GET /__clerk/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js HTTP/1.1\r\nHost: app.dev\r\n\r\n")
				if got := body(t, resp); got != "half" {
					t.Errorf("got %q", got)
				}
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("asked %d times", n)
			}
		})
	}
}
