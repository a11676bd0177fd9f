package assets

import (
	"io"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// hot is a cache that holds what its benchmarks ask for.
func hot(b *testing.B) *Cache {
	c := newCache(fixed(200, immutable(
		"Content-Type", "text/javascript; charset=utf-8", "Content-Encoding", "br", "Access-Control-Allow-Origin", "*",
		"Date", "Mon, 01 Jan 2035 00:00:00 GMT", "X-Content-Type-Options", "nosniff", "Server", "cdn",
	), strings.Repeat("x", 84<<10)))
	do(c, request(b.Context(), "GET", file))
	return c
}

func BenchmarkFind(b *testing.B) {
	c, req := hot(b), plain(request(b.Context(), "GET", file))
	var fields wire.Fields
	b.ReportAllocs()
	for b.Loop() {
		hit, found, _ := c.Find(req, fields[:0])
		if fields = hit.Fields; !found {
			b.Fatal("it is not found")
		}
	}
}

func BenchmarkHit(b *testing.B) {
	c, req := hot(b), request(b.Context(), "GET", file)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 32<<10)
		for pb.Next() {
			resp, err := c.RoundTrip(req)
			if err != nil {
				b.Fatal(err)
			}
			if n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf); n != 84<<10 {
				b.Fatal(n)
			}
		}
	})
}
