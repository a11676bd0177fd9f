package http3

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"

	"github.com/clerkproxy/clerkproxy/internal/answertest"
	"github.com/clerkproxy/clerkproxy/internal/front"
)

// certificate is one for 127.0.0.1, and a client's configuration that trusts it.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	authority := httptest.NewUnstartedServer(nil)
	authority.EnableHTTP2 = true
	authority.StartTLS()
	t.Cleanup(authority.Close)
	return &tls.Config{Certificates: authority.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}},
		authority.Client().Transport.(*http.Transport).TLSClientConfig
}

func listen(t testing.TB) *Socket {
	t.Helper()
	socket, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return socket
}

// A served server, with one socket.
type served struct {
	*Server
	t      testing.TB
	socket *Socket
	addr   string
	client *tls.Config
	done   chan error
}

func serve(t testing.TB, c Config) *served {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	server, client := certificate(t)
	s := &served{Server: New(c), t: t, socket: listen(t), client: client, done: make(chan error, 1)}
	s.addr, s.patience = s.socket.LocalAddr().String(), time.Minute
	go func() { s.done <- s.Serve(s.socket, server) }()
	t.Cleanup(func() {
		s.Close()
		<-s.done
	})
	return s
}

func (s *served) transport() *h3.Transport {
	transport := &h3.Transport{TLSClientConfig: s.client, DisableCompression: true}
	s.t.Cleanup(func() { transport.Close() })
	return transport
}

// get asks for a path and returns the answer's body.
func get(t testing.TB, transport http.RoundTripper, url string) (*http.Response, string) {
	t.Helper()
	resp, err := transport.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", url, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// seen is what a client sees of an answer.
func seen(transport http.RoundTripper, addr string, r *http.Request) string {
	var hints strings.Builder
	r.URL.Scheme, r.URL.Host = "https", addr
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error { fmt.Fprint(&hints, code, h, "\n"); return nil },
	}))
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var out strings.Builder
	maps.DeleteFunc(resp.Trailer, func(_ string, values []string) bool { return len(values) == 0 })
	if resp.StatusCode == 204 || resp.StatusCode == 304 {
		resp.ContentLength = -1 // clients do not agree
	}
	fmt.Fprintf(&out, "%s%d length %d\n", hints.String(), resp.StatusCode, resp.ContentLength)
	if resp.Header.Get("Date") != "" {
		resp.Header.Set("Date", "now")
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(&out, "%s: %q\n", name, resp.Header[name])
	}
	fmt.Fprintf(&out, "%d bytes %.300q whole %v %v\n", len(body), body, err == nil, resp.Trailer)
	return out.String()
}

// both serves a handler over HTTP/3, and over HTTP/2 by the front.
func both(t testing.TB, h http.Handler) (http3, http2 func(*http.Request) string) {
	t.Helper()
	s := serve(t, Config{Handler: h})
	server, client := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := front.New(front.Config{Handler: h, Logger: slog.New(slog.DiscardHandler)})
	go f.Serve(l, server)
	over3, over2 := s.transport(), &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: true, DisableCompression: true}
	t.Cleanup(func() {
		over2.CloseIdleConnections()
		f.Close()
	})
	return func(r *http.Request) string { return seen(over3, s.addr, r) },
		func(r *http.Request) string { return seen(over2, l.Addr().String(), r) }
}

// whole is what is left to see of an answer that is cut off: of what was sent before,
// anything may have arrived.
func whole(answer string) string {
	if answer == "no answer" || strings.Contains(answer, "whole false") {
		return "not whole"
	}
	return answer
}

func TestAnswersAreThoseOfHTTP2(t *testing.T) {
	answers := answertest.Handlers()
	delete(answers, "trailers") // the front does not say a length beside them
	maps.Copy(answers, map[string]http.HandlerFunc{
		"no content, and its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(204)
		},
		"control characters": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", "a\x00b\x01c\x7fd\te") },
		"what is for a connection": func(w http.ResponseWriter, _ *http.Request) {
			for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
				w.Header().Set(name, "x")
			}
		},
	})
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			http3, http2 := both(t, answer)
			for _, method := range []string{"GET", "HEAD", "POST", "GET"} {
				if method == "HEAD" && (strings.Contains(name, "late") || strings.Contains(name, "trailers")) {
					continue // what belongs to a body
				}
				got := whole(http3(httptest.NewRequestWithContext(t.Context(), method, "https://x/", nil)))
				want := whole(http2(httptest.NewRequestWithContext(t.Context(), method, "https://x/", nil)))
				if got != want {
					t.Errorf("%s: got\n%s\nwant\n%s", method, got, want)
				}
			}
		})
	}
}

// tell answers with what the handler is told of a request.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s host %q length %d coding %v close %v trailer %v TLS %v\n", r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding, r.Close, r.Trailer, r.TLS != nil)
	fmt.Fprintf(&b, "%q %q %q %v\n", r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.ForceQuery)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%s: %q\n", name, r.Header[name])
	}
	fmt.Fprintf(&b, "body %d %.100q %v\n", len(body), body, err)
	_, _ = w.Write(b.Bytes())
}

func TestRequestsAreThoseOfHTTP2(t *testing.T) {
	http3, http2 := both(t, http.HandlerFunc(tell))
	request := func(method, url string, body io.Reader, header http.Header) func() *http.Request {
		return func() *http.Request {
			r := httptest.NewRequestWithContext(t.Context(), method, url, body)
			r.Host = "app.dev"
			if header != nil {
				r.Header = header
			}
			r.Header.Set("User-Agent", "a client")
			return r
		}
	}
	hello := func() io.Reader { return strings.NewReader("hello") }
	for name, make := range map[string]func() *http.Request{
		"a GET":          request("GET", "https://x/a%2Fb//c/../d?e=%zz&f", nil, nil),
		"an empty query": request("GET", "https://x/a?", nil, nil),
		"odd characters": request("GET", "https://x/a|b\"<>^`{};=", nil, nil),
		"OPTIONS":        request("OPTIONS", "https://x/", nil, nil),
		"OPTIONS of everything": func() *http.Request {
			r := request("OPTIONS", "https://x/", nil, nil)()
			r.URL.Path, r.URL.Opaque = "*", "*"
			return r
		},
		"a method of its own":     request("PURGE", "https://x/", nil, nil),
		"a DELETE without a body": request("DELETE", "https://x/", nil, nil),
		"a body":                  func() *http.Request { return request("POST", "https://x/", hello(), nil)() },
		"a large body": func() *http.Request {
			return request("PUT", "https://x/", strings.NewReader(strings.Repeat("hello", 1_000_000)), nil)()
		},
		"a body of unknown length": func() *http.Request { return request("PUT", "https://x/", io.MultiReader(hello(), hello()), nil)() },
		"with headers": request("GET", "https://x/", nil, http.Header{
			"X-A": {"1", "", "2"}, "Cookie": {"a=b; c=d", "e=f"}, "Te": {"trailers"}, "Text": {"\xc3\xa9"}, "Spaces": {" a "}, "X_a": {"y"}}),
		"that expects": func() *http.Request {
			return request("POST", "https://x/", hello(), http.Header{"Expect": {"100-continue"}})()
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := http3(make()), http2(make())
			// A body that is there has a length even if the client did not say it.
			want = strings.ReplaceAll(want, "length 10 ", "length -1 ")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A raw client sends what it likes.
type raw struct {
	t    testing.TB
	conn *quic.Conn
}

func (s *served) dial(t testing.TB) *raw {
	t.Helper()
	secure := s.client.Clone()
	secure.NextProtos = []string{"h3"}
	conn, err := quic.DialAddr(t.Context(), s.addr, secure, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	control, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	control.Write([]byte{0, 4, 0}) // the stream's type, and settings that say nothing
	return &raw{t, conn}
}

func (c *raw) open() *quic.Stream {
	c.t.Helper()
	stream, err := c.conn.OpenStreamSync(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	_ = stream.SetReadDeadline(time.Now().Add(10 * time.Second))
	return stream
}

// await returns the next of a channel, or when it is closed.
func await[T any](t testing.TB, c <-chan T) (next T) {
	t.Helper()
	select {
	case next = <-c:
	case <-time.After(20 * time.Second): // far more than it takes
		t.Fatal("it does not come")
	}
	return next
}
