package clerkproxy

import (
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// received is a request as the upstream saw it.
type received struct {
	method, host, body string
	length             int64
	header             http.Header
}

func recorder(t testing.TB, c Config) (p *Proxy, requests <-chan received) {
	ch := make(chan received, 1)
	p = newProxy(t, c, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		ch <- received{r.Method, r.Host, string(b), r.ContentLength, r.Header}
	})
	return p, ch
}

func TestOutboundHeaders(t *testing.T) {
	untrusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	tests := []struct {
		name    string
		config  Config
		headers string
		want    http.Header // nil values: absent
	}{
		{"what is added", Config{}, "", http.Header{
			"Clerk-Proxy-Url": {"http://app.dev/__clerk"}, "Clerk-Secret-Key": {secretKey},
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Proto": {"http"},
			"User-Agent": nil, "Accept-Encoding": nil,
		}},
		{"a configured proxy URL", Config{ProxyURL: "https://App.dev/__clerk/"}, "", http.Header{
			"Clerk-Proxy-Url": {"https://app.dev/__clerk"}, "X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Proto": {"http"},
		}},
		{"what a trusted proxy reports", Config{}, "X-Forwarded-Proto: https\r\nX-Forwarded-Host: Shop.dev\r\nX-Forwarded-For: 6.6.6.6, 198.51.100.1, 10.0.0.9\r\n", http.Header{
			"Clerk-Proxy-Url": {"https://shop.dev/__clerk"},
			"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Host": {"shop.dev"}, "X-Forwarded-Proto": {"https"},
		}},
		{"what an untrusted peer reports", Config{TrustedProxies: untrusted},
			"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.com\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\nForwarded: for=6.6.6.6\r\nCF-Connecting-IP: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n", http.Header{
				"Clerk-Proxy-Url": {"http://app.dev/__clerk"},
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Proto": {"http"},
				"X-Forwarded-Port": nil, "X-Forwarded-Prefix": nil, "Forwarded": nil,
				"Cf-Connecting-Ip": nil, "True-Client-Ip": nil, "X-Real-Ip": nil,
			}},
		{"the client address header of a trusted proxy", Config{ClientIPHeader: "cf-connecting-ip"}, "CF-Connecting-IP: 198.51.100.1\r\nX-Forwarded-For: 6.6.6.6\r\n", http.Header{
			"X-Forwarded-For": {"198.51.100.1"}, "Cf-Connecting-Ip": {"198.51.100.1"},
		}},
		{"spoofed Clerk headers", Config{}, "Clerk-Secret-Key: sk_live_evil\r\nclerk-secret-key: sk_live_evil2\r\nClerk-Proxy-Url: https://evil.com\r\n", http.Header{
			"Clerk-Proxy-Url": {"http://app.dev/__clerk"}, "Clerk-Secret-Key": {secretKey},
		}},
		{"spoofed headers as CGI would read them", Config{}, "Clerk_Secret_Key: sk_live_evil\r\nclerk_proxy-url: https://evil.com\r\nX_Forwarded_For: 6.6.6.6\r\nCF_Connecting_IP: 6.6.6.6\r\nX_Other: kept\r\n", http.Header{
			"Clerk_secret_key": nil, "Clerk_proxy-Url": nil, "X_forwarded_for": nil, "Cf_connecting_ip": nil, "X_other": {"kept"},
		}},
		{"headers that Connection names, ours among them", Config{}, "Connection: close, X-Hop,clerk-secret-key, X-Forwarded-For\r\nX-Hop: 1\r\nX-End: 1\r\n", http.Header{
			"X-Hop": nil, "X-End": {"1"}, "Clerk-Secret-Key": {secretKey}, "X-Forwarded-For": {"127.0.0.1"}, "Connection": nil,
		}},
		{"hop-by-hop headers", Config{}, "Keep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nTE: trailers\r\nTrailer: X\r\nUpgrade: h2c\r\n", http.Header{
			"Keep-Alive": nil, "Proxy-Connection": nil, "Proxy-Authorization": nil, "Proxy-Authenticate": nil, "Te": nil, "Trailer": nil, "Upgrade": nil,
		}},
		{"all others intact", Config{}, "Cookie: a=b; c=d\r\nCookie: e=f\r\nAuthorization: Bearer x\r\nAccept-Encoding: br, gzip\r\nX-Empty:\r\nx-many: 2\r\nX-Many: 1\r\nUser-Agent: me\r\nOrigin: null\r\n", http.Header{
			"Cookie": {"a=b; c=d", "e=f"}, "Authorization": {"Bearer x"}, "Accept-Encoding": {"br, gzip"},
			"X-Empty": {""}, "X-Many": {"2", "1"}, "User-Agent": {"me"}, "Origin": {"null"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, requests := recorder(t, tt.config)
			send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n"+tt.headers+"\r\n")
			got := <-requests
			if got.host != p.target.host {
				t.Errorf("host %s", got.host)
			}
			for name, want := range tt.want {
				if !reflect.DeepEqual(got.header[name], []string(want)) {
					t.Errorf("%s: got %q, want %q", name, got.header[name], want)
				}
			}
		})
	}
}

func TestOutboundBody(t *testing.T) {
	const big = 1 << 20
	tests := []struct {
		name, request string
		want          received
	}{
		{"of a POST", "POST /__clerk/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\n\r\na=b", received{method: "POST", body: "a=b", length: 3}},
		{"of a DELETE", "DELETE /__clerk/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\n\r\na=b", received{method: "DELETE", body: "a=b", length: 3}},
		{"of a GET", "GET /__clerk/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 3\r\n\r\na=b", received{method: "GET", body: "a=b", length: 3}},
		{"empty", "POST /__clerk/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 0\r\n\r\n", received{method: "POST"}},
		{"in chunks", "POST /__clerk/ HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n", received{method: "POST", body: "a=b", length: -1}},
		{"of a method of its own", "PURGE /__clerk/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 1\r\n\r\nx", received{method: "PURGE", body: "x", length: 1}},
		{"a large one", "PUT /__clerk/ HTTP/1.1\r\nHost: a.b\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", big), received{method: "PUT", body: strings.Repeat("x", big), length: big}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, requests := recorder(t, Config{})
			if resp := send(t, serve(t, p), tt.request); resp.StatusCode != 200 {
				t.Fatalf("status %d", resp.StatusCode)
			}
			got := <-requests
			if got.method != tt.want.method || got.body != tt.want.body || got.length != tt.want.length {
				t.Errorf("got %s, %d bytes of length %d", got.method, len(got.body), got.length)
			}
		})
	}
}

// Whatever the client sends as a target: it arrives byte for byte, at the
// upstream and nowhere else.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"", "/", "/v1/client?", "//evil.com/", "/a%2Fb;c+d|\"?x=%zz&;", "/../..", "/%2e%2e//", "?a?b", "/\xff", "/a#b", "?a#b"} {
		f.Add(s)
	}
	var got *http.Request
	p := newProxyTo(f, Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r
		return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
	})}, "http://localhost:1")
	f.Fuzz(func(t *testing.T, rest string) {
		if rest != "" && rest[0] != '/' && rest[0] != '?' {
			return
		}
		target := "/__clerk" + rest
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.ContainsAny(target, " \r\n") {
			return // net/http refuses it before we see it
		}
		fragment := strings.Contains(target, "#")
		got = nil
		p.ServeHTTP(discard{http.Header{}}, &http.Request{Method: "GET", Host: "app.dev", URL: u, RequestURI: target, Header: http.Header{}, RemoteAddr: "127.0.0.1:1"})
		if got == nil != fragment {
			t.Fatalf("%q was forwarded: %v", target, got != nil)
		}
		if fragment {
			return
		}
		var wire bytes.Buffer
		if err := got.Write(&wire); err != nil {
			return // a control character, refused by net/http
		}
		line, _, _ := strings.Cut(wire.String(), "\r\n")
		sent := strings.TrimSuffix(strings.TrimPrefix(line, "GET "), " HTTP/1.1")
		sent = strings.TrimPrefix(sent, "http://localhost:1")
		want := rest
		if want == "" || want[0] == '?' {
			want = "/" + want
		}
		if sent != want || got.URL.Host != "localhost:1" || got.Host != "localhost:1" {
			t.Errorf("%q was sent to %s as %q", target, got.URL.Host, sent)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// discard is a ResponseWriter that keeps nothing but headers.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
