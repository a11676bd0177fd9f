package clerkproxy

import (
	"bytes"
	"io"
	"net"
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

// What a plain request costs behind the front of clerk-proxy, the network of this
// machine on both sides included.
func BenchmarkPlain(b *testing.B) {
	head := "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\nSet-Cookie: b=2; Path=/\r\nX-Clerk-Trace-Id: 1f0a6be7c25d4f0b\r\nVary: Origin\r\nContent-Length: 1900\r\n\r\n"
	answer := append([]byte(head), bytes.Repeat([]byte("x"), 1900)...)
	p := newProxyTo(b, Config{}, answering(b, answer))
	addr, plain := servePlain(b, p)
	for plain.n.Load() == 0 {
		body(b, send(b, addr, "GET /__clerk/warm HTTP/1.1\r\nHost: app.dev\r\n\r\n"))
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := []byte("GET /__clerk/v1/client?_clerk_js_version=6 HTTP/1.1\r\nHost: app.dev\r\nCookie: __session=abc; __client_uat=1\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n" +
		"Accept-Encoding: gzip, br\r\nAccept-Language: en\r\nReferer: https://app.dev/\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\r\n")
	buf := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < len(answer)-len("\r\n"); {
			m, err := conn.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
}

// answering is an upstream that answers every request with the same bytes.
func answering(t testing.TB, answer []byte) (fapiURL string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for buf := make([]byte, 4<<10); ; {
					if n, err := conn.Read(buf); err != nil || n == len(buf) {
						return
					}
					_, _ = conn.Write(answer)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}
