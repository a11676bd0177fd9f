package clerkproxy

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What the proxy itself costs a request, without a network on either side.
func BenchmarkServeHTTP(b *testing.B) {
	answer := bytes.Repeat([]byte("x"), 1900)
	header := http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"a=1", "b=2"}, "Cache-Control": {"no-store"}, "Content-Length": {"1900"}}
	p := newProxyTo(b, Config{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: header, ContentLength: int64(len(answer)), Body: io.NopCloser(bytes.NewReader(answer))}, nil
	})}, "http://localhost:1")
	r := httptest.NewRequestWithContext(b.Context(), "GET", "http://app.dev/__clerk/v1/client?_clerk_js_version=6", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header = http.Header{
		"Cookie": {"__session=abc; __client_uat=1"}, "User-Agent": {"Mozilla/5.0"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip, br"},
		"Accept-Language": {"en"}, "Referer": {"https://app.dev/"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-origin"},
		"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Proto": {"https"},
	}
	b.ReportAllocs()
	for b.Loop() {
		p.ServeHTTP(discard{make(http.Header, 8)}, r)
	}
}
