package assets

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// plain is a request as Find has it.
func plain(r *http.Request) *wire.Request {
	x := &wire.Request{Method: r.Method, Target: r.URL.RequestURI()}
	for name, values := range r.Header {
		for _, value := range values {
			x.Fields = append(x.Fields, wire.Field{Name: name, Value: value})
		}
	}
	return x
}

// What Find finds is what RoundTrip answers; what it leaves, RoundTrip knows how
// to answer.
func TestFind(t *testing.T) {
	tests := []struct {
		name   string
		origin http.Header
		target string
		method string
		header []string
		after  time.Duration
		found  bool
		kept   bool
	}{
		{name: "a fresh answer", found: true, kept: true},
		{name: "one of another coding", header: []string{"Accept-Encoding", "br"}, kept: true},
		{name: "one whose coding is listed otherwise", header: []string{"Accept-Encoding", "br;q=0.5, gzip"}, found: true, kept: true},
		{name: "with a query", target: file + "?x", kept: true},
		{name: "with another origin, where that matters", origin: http.Header{"Vary": {"Origin"}}, header: []string{"Origin", "https://other.dev"}, kept: true},
		{name: "with the same, where that matters", origin: http.Header{"Vary": {"User-Agent"}}, found: true, kept: true},
		{name: "through another proxy", header: []string{"Clerk-Proxy-Url", "https://other.dev/__clerk"}, kept: true},
		{name: "for another host", header: []string{"X-Forwarded-Host", "other.dev"}, kept: true},
		{name: "an immutable answer, reloaded", header: []string{"Cache-Control", "max-age=0"}, found: true, kept: true},
		{name: "with no-cache", header: []string{"Cache-Control", "no-cache"}, kept: true},
		{name: "with no-store", header: []string{"Cache-Control", "no-store"}, kept: true},
		{name: "with pragma", header: []string{"Pragma", "no-cache"}, kept: true},
		{name: "a stale answer", origin: http.Header{"Cache-Control": {"max-age=60"}}, after: 90 * time.Second, kept: true},
		{name: "one that ages", origin: http.Header{"Cache-Control": {"max-age=60"}}, after: 30 * time.Second, found: true, kept: true},
		{name: "a part of it", header: []string{"Range", "bytes=0-1"}, kept: true},
		{name: "if it has changed", header: []string{"If-None-Match", `"v1"`}, kept: true},
		{name: "if it has changed since", header: []string{"If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT"}, kept: true},
		{name: "HEAD", method: "HEAD", kept: true},
		{name: "another method", method: "DELETE", kept: true},
		{name: "another path", target: "/v1/client"},
		{name: "a path that is spelt oddly", target: "/npm/../v1/client"},
		{name: "an escaped path", target: "/npm/%40clerk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				header := immutable()
				for name, values := range tt.origin {
					header[name] = values
				}
				c := newCache(fixed(200, header, "body"))
				get(t, c, file)
				synctest.Wait()
				time.Sleep(tt.after)
				target, method := file, "GET"
				if tt.target != "" {
					target = tt.target
				}
				if tt.method != "" {
					method = tt.method
				}
				req := request(t.Context(), method, target, tt.header...)
				before := wire.Fields{{Name: "X", Value: "before"}}
				hit, found, kept := c.Find(plain(req), before)
				if found != tt.found || kept != tt.kept {
					t.Fatalf("found %v, kept %v", found, kept)
				}
				if !found {
					return
				}
				resp, err := c.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				if hit.Status != resp.StatusCode || string(hit.Body) != string(body) || hit.Fields[0] != before[0] {
					t.Errorf("got %+v, want %d %q", hit, resp.StatusCode, body)
				}
				got := hit.Fields[1:].Header()
				for name, values := range resp.Header {
					if len(got[name]) != len(values) || len(values) > 0 && got[name][0] != values[0] {
						t.Errorf("%s is %q, want %q", name, got[name], values)
					}
				}
				if len(got) != len(resp.Header) {
					t.Errorf("got %v, want %v", got, resp.Header)
				}
				if s := c.Stats(); s.Hits != 2 {
					t.Errorf("%d hits were counted", s.Hits)
				}
			})
		})
	}
}
