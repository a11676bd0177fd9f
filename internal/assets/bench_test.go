package assets

import (
	"io"
	"strings"
	"testing"
)

func BenchmarkHit(b *testing.B) {
	c := newCache(fixed(200, immutable(
		"Content-Type", "text/javascript; charset=utf-8", "Content-Encoding", "br", "Access-Control-Allow-Origin", "*",
		"Date", "Mon, 01 Jan 2035 00:00:00 GMT", "X-Content-Type-Options", "nosniff", "Server", "cdn",
	), strings.Repeat("x", 84<<10)))
	req := request(b.Context(), "GET", file)
	do(c, req)
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
