package clerkproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// rawUpstream answers every connection's first request with these bytes and
// closes it.
func rawUpstream(t testing.TB, answer string) (fapiURL string) {
	return scriptedUpstream(t, func(conn net.Conn) { _, _ = io.WriteString(conn, answer) })
}

// scriptedUpstream reads a request's headers and lets the script go on.
func scriptedUpstream(t testing.TB, script func(net.Conn)) (fapiURL string) {
	t.Helper()
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
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					script(conn)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestInboundHeaders(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, strings.ReplaceAll(`HTTP/1.1 422 Whatever
Set-Cookie: __client=a; Path=/; HttpOnly
Set-Cookie: __client_uat=1; Domain=app.dev
Set-Cookie: empty=
Content-Encoding: gzip
ETag: W/"x"
Vary: Origin
Vary: Accept-Encoding
X-Empty:
Connection: X-Hop
X-Hop: 1
Keep-Alive: timeout=5
Proxy-Authenticate: Basic
Alt-Svc: h3=":443"
Clerk-Secret-Key: `+secretKey+`
Date: Mon, 01 Jan 2024 00:00:00 GMT
Content-Length: 4

abcd`, "\n", "\r\n")))
	resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if resp.StatusCode != 422 || body(t, resp) != "abcd" || resp.ContentLength != 4 {
		t.Errorf("got %d, length %d", resp.StatusCode, resp.ContentLength)
	}
	want := http.Header{
		"Set-Cookie":       {"__client=a; Path=/; HttpOnly", "__client_uat=1; Domain=app.dev", "empty="},
		"Content-Encoding": {"gzip"}, "Etag": {`W/"x"`}, "Vary": {"Origin", "Accept-Encoding"}, "X-Empty": {""},
		"Date": {"Mon, 01 Jan 2024 00:00:00 GMT"}, "Content-Length": {"4"},
	}
	if !reflect.DeepEqual(resp.Header, want) {
		t.Errorf("got  %v\nwant %v", resp.Header, want)
	}
}

func TestInboundAnswersWithoutABody(t *testing.T) {
	for _, tt := range []struct {
		method, answer string
		status         int
		length         string
	}{
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, ""},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", 200, "1234"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "0"},
	} {
		p := newProxyTo(t, Config{}, rawUpstream(t, tt.answer))
		resp := send(t, serve(t, p), tt.method+" /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
		if resp.StatusCode != tt.status || resp.Header.Get("Content-Length") != tt.length || body(t, resp) != "" {
			t.Errorf("%q: got %d %v", tt.answer, resp.StatusCode, resp.Header)
		}
	}
}

func TestInboundEarlyHints(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.js>; rel=preload\r\nX-Hint: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "kept")
		p.ServeHTTP(w, r)
	}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	br := bufio.NewReader(conn)
	hint, err := http.ReadResponse(br, nil)
	if err != nil || hint.StatusCode != 103 || hint.Header.Get("Link") != "</a.js>; rel=preload" {
		t.Fatalf("got %+v, %v", hint, err)
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Hint") != "" || resp.Header.Get("X-Outer") != "kept" || body(t, resp) != "ok" {
		t.Errorf("got %+v, %v", resp, err)
	}
}

// An HTTP/1.0 client would take an informational answer for the answer.
func TestInboundEarlyHintsAreNotForHTTP10(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	if resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.0\r\nHost: app.dev\r\n\r\n"); resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// What an informational answer says is not taken back from the answer.
func TestInboundEarlyHintsLeaveTheAnswersOwnHeaders(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 103 Early Hints\r\nConnection: keep-alive\r\nLink: <hint>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<outer>")
		p.ServeHTTP(w, r)
	}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	br := bufio.NewReader(conn)
	if hint, err := http.ReadResponse(br, nil); err != nil || hint.StatusCode != 103 {
		t.Fatalf("got %+v, %v", hint, err)
	}
	if resp, err := http.ReadResponse(br, nil); err != nil || !resp.Close || resp.Header.Get("Link") != "<outer>" {
		t.Errorf("got %+v, %v", resp, err)
	}
}

func TestInboundTrailers(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
	}{
		{"announced", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"not announced", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"after an empty body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxyTo(t, Config{}, rawUpstream(t, tt.answer))
			resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
			body(t, resp)
			if resp.Trailer.Get("X-Sum") != "1" {
				t.Errorf("trailer %v", resp.Trailer)
			}
		})
	}
}

func TestInboundContentTypeIsNotGuessed(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html></html>ab"))
	resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if got, ok := resp.Header["Content-Type"]; ok {
		t.Errorf("got %q", got)
	}
}

func TestRewriteLocation(t *testing.T) {
	const proxyURL = "https://app.dev/__clerk"
	tests := []struct{ name, location, want string }{
		{"absolute", "https://frontend-api.clerk.dev/v1/x?a=1&b=%20#f", proxyURL + "/v1/x?a=1&b=%20#f"},
		{"absolute, in capitals", "HTTPS://Frontend-API.Clerk.dev/v1/x", proxyURL + "/v1/x"},
		{"absolute, with the scheme's port", "https://frontend-api.clerk.dev:443/v1/x", proxyURL + "/v1/x"},
		{"absolute, the other scheme", "http://frontend-api.clerk.dev/v1/x", proxyURL + "/v1/x"},
		{"the host alone", "https://frontend-api.clerk.dev", proxyURL},
		{"scheme-relative", "//frontend-api.clerk.dev/v1/x", proxyURL + "/v1/x"},
		{"from the root", "/v1/x?y", proxyURL + "/v1/x?y"},
		{"relative", "x?y", proxyURL + "/v1/client/x?y"},
		{"relative, upwards", "../x", proxyURL + "/v1/x"},
		{"a query alone", "?y=1", proxyURL + "/v1/client/here?y=1"},
		{"a fragment alone", "#f", proxyURL + "/v1/client/here?q=1#f"},
		{"an empty query", "/v1/x?", proxyURL + "/v1/x?"},
		{"escaped slashes", "/a%2Fb/", proxyURL + "/a%2Fb/"},
		{"out of the proxy's path", "/../../admin", proxyURL + "/admin"},
		{"two slashes in the path", "https://frontend-api.clerk.dev//evil.com", proxyURL + "//evil.com"},
		{"another host", "https://accounts.app.dev/sign-in?redirect_url=https%3A%2F%2Fapp.dev", "https://accounts.app.dev/sign-in?redirect_url=https%3A%2F%2Fapp.dev"},
		{"another port", "https://frontend-api.clerk.dev:8443/x", "https://frontend-api.clerk.dev:8443/x"},
		{"a host that ends the same", "https://evil-frontend-api.clerk.dev/x", "https://evil-frontend-api.clerk.dev/x"},
		{"a host as user", "https://frontend-api.clerk.dev@evil.com/x", "https://frontend-api.clerk.dev@evil.com/x"},
		{"scheme-relative elsewhere", "//evil.com/x", "//evil.com/x"},
		{"another scheme", "myapp://frontend-api.clerk.dev/x", "myapp://frontend-api.clerk.dev/x"},
		{"opaque", "mailto:a@b.c", "mailto:a@b.c"},
		{"malformed", "https://[", "https://["},
		{"empty", "", ""},
	}
	p := newProxyTo(t, Config{}, "https://frontend-api.clerk.dev")
	requested := &url.URL{Scheme: "https", Host: "frontend-api.clerk.dev", Path: "/v1/client/here", RawQuery: "q=1"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.rewriteLocation(tt.location, requested, proxyURL); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	opaque := p.targetURL(&url.URL{}, "/a|b/c")
	if got := p.rewriteLocation("d", opaque, proxyURL); got != proxyURL+"/a%7Cb/d" {
		t.Errorf("relative to a strange path: got %s", got)
	}
	opaque = p.targetURL(&url.URL{}, "//a|b/c")
	if got := p.rewriteLocation("d", opaque, proxyURL); got != proxyURL+"//a%7Cb/d" {
		t.Errorf("relative to a strange path with two slashes: got %s", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/x\r\nContent-Length: 0\r\n\r\n"))
	resp := send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if resp.StatusCode != 307 || resp.Header.Get("Location") != "http://app.dev/__clerk/v1/x" {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}

// However a Location is written, what we say instead stays under the proxy, or
// is what the upstream said.
func FuzzRewriteLocation(f *testing.F) {
	for _, s := range []string{"/x", "//evil.com", "https://frontend-api.clerk.dev/%2e%2e/", "?", "#", "..\\..", "/\\evil.com", "https:x"} {
		f.Add(s)
	}
	p := newProxyTo(f, Config{}, "https://frontend-api.clerk.dev")
	requested := &url.URL{Scheme: "https", Host: "frontend-api.clerk.dev", Path: "/v1/here"}
	f.Fuzz(func(t *testing.T, location string) {
		got := p.rewriteLocation(location, requested, "https://app.dev/__clerk")
		if got == location {
			return
		}
		rest, ok := strings.CutPrefix(got, "https://app.dev/__clerk")
		path := rest[:strings.IndexAny(rest+"?", "?#")]
		if !ok || path != "" && path[0] != '/' || strings.Contains(path+"/", "/../") {
			t.Errorf("%q became %q", location, got)
		}
	})
}

// An upstream that reads nothing must not keep an early answer from the client.
func TestEarlyAnswerToAnUnfinishedUpload(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"))
	addr := serve(t, p)
	resp := send(t, addr, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 1000000\r\n\r\nbeginning")
	if resp.StatusCode != 413 || body(t, resp) != "no" {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestExpectContinue(t *testing.T) {
	p, requests := recorder(t, Config{})
	conn, err := net.Dial("tcp", serve(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	br := bufio.NewReader(conn)
	if line, err := br.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	_, _ = br.ReadString('\n')
	fmt.Fprint(conn, "body")
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	if got := <-requests; got.body != "body" {
		t.Errorf("body %q", got.body)
	}
}

func TestExpectContinueRefusedByTheUpstream(t *testing.T) {
	p := newProxyTo(t, Config{}, rawUpstream(t, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	resp := send(t, serve(t, p), "POST /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if resp.StatusCode != 417 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// Over HTTP/2 on both sides, as browsers and Clerk speak it.
func TestHTTP2OnBothSides(t *testing.T) {
	fapi := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Host, r.RequestURI, b)
	}))
	fapi.EnableHTTP2 = true
	fapi.StartTLS()
	t.Cleanup(fapi.Close)
	pool := fapi.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	p := newProxyTo(t, Config{RootCAs: pool}, fapi.URL)

	front := httptest.NewUnstartedServer(p)
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	req, _ := http.NewRequestWithContext(t.Context(), "POST", front.URL+"/__clerk/a%2Fb?", strings.NewReader("x"))
	req.Header.Set("Expect", "")
	resp, err := front.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := body(t, resp); got != "HTTP/2.0 "+p.target.host+" /a%2Fb? x" || resp.ProtoMajor != 2 || len(resp.Header["Set-Cookie"]) != 2 {
		t.Errorf("got %q over %s, %v", got, resp.Proto, resp.Header)
	}
}
