package fronts

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Behind every front of the guide Clerk is told the visitor's address and the
// proxy's URL, whatever the visitor invents, and browsers get what Clerk and the
// application said.
func TestFronts(t *testing.T) {
	for _, front := range fronts {
		t.Run(front.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			address := front.start(s)
			for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
				t.Run(name, func(t *testing.T) { s.visit(t, s.browser(address, http2), http2) })
			}
			t.Run("WebSocket", func(t *testing.T) { s.echo(t, address) })
		})
	}
}

// invented is what a visitor may send to look like another one, or like a proxy.
var invented = map[string]string{
	"X-Forwarded-For":   "203.0.113.66",
	"X-Forwarded-Host":  "evil.example",
	"X-Forwarded-Proto": "http",
	"X-Real-Ip":         "203.0.113.66",
	"Forwarded":         `for=203.0.113.66;host=evil.example;proto=http`,
	"Clerk-Proxy-Url":   "https://evil.example/__clerk",
	"Clerk-Secret-Key":  "invented",
}

// visit asks a front for what a page asks for.
func (s *site) visit(t *testing.T, browser *http.Transport, http2 bool) {
	ask := func(method, path string, body io.Reader, header map[string]string) (*http.Response, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "https://app.dev"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range header {
			r.Header.Set(name, value)
		}
		answer, err := browser.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.ProtoAtLeast(2, 0) != http2 {
			t.Errorf("it was asked with %s", answer.Proto)
		}
		return answer, content
	}

	// Clerk serves the instance at no URL but the one that is registered.
	for _, header := range []map[string]string{nil, invented} {
		answer, content := ask("GET", "/__clerk/v1/client", nil, header)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("Clerk answers with status %d: %s", answer.StatusCode, content)
		}
		if cookies := answer.Header.Values("Set-Cookie"); len(cookies) < 2 {
			t.Errorf("of Clerk's cookies these arrive: %q", cookies)
		}
		if told := s.last("/v1/client").ForwardedFor; told != visitor {
			t.Errorf("Clerk is told the address %q, not %s", told, visitor)
		}
	}

	answer, content := ask("GET", "/__clerk/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js", nil, map[string]string{"Accept-Encoding": "gzip"})
	if encoding := answer.Header.Values("Content-Encoding"); strings.Join(encoding, ",") != "gzip" {
		t.Errorf("ClerkJS arrives with the encoding %q", encoding)
	}
	if unpacked, err := gzip.NewReader(bytes.NewReader(content)); err != nil {
		t.Error(err)
	} else if script, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(script, s.clerkJS) {
		t.Errorf("ClerkJS arrives as other bytes: %v", err)
	}

	answer, content = ask("POST", "/upload", bytes.NewReader(make([]byte, 2<<20)), invented)
	if want := "app.dev https app.dev " + visitor + ", 127.0.0.1 2097152"; string(content) != want {
		t.Errorf("the application sees %q, not %q", content, want)
	}
	if cookies := answer.Header.Values("Set-Cookie"); len(cookies) != 2 {
		t.Errorf("of the application's cookies these arrive: %q", cookies)
	}
}

// echo speaks with the application over a WebSocket.
func (s *site) echo(t *testing.T, address string) {
	raw, err := s.dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: s.roots, ServerName: "app.dev", NextProtos: []string{"http/1.1"}})
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /live HTTP/1.1\r\nHost: app.dev\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the answer has status %d", answer.StatusCode)
	}
	for _, said := range []string{"ping", "pong"} {
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		heard := make([]byte, len(said))
		if _, err := io.ReadFull(reader, heard); err != nil || string(heard) != said {
			t.Fatalf("said %q, heard %q: %v", said, heard, err)
		}
	}
}
