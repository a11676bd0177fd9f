package clerkproxy

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// newProxy makes a proxy to an upstream that the handler plays.
func newProxy(t testing.TB, c Config, upstream http.HandlerFunc) *Proxy {
	t.Helper()
	fapi := httptest.NewServer(upstream)
	t.Cleanup(fapi.Close)
	return newProxyTo(t, c, fapi.URL)
}

func newProxyTo(t testing.TB, c Config, fapiURL string) *Proxy {
	t.Helper()
	c.PublishableKey, c.SecretKey = publishableKey, secretKey
	if c.ProxyURL == "" {
		c.ProxyURL = DefaultPath
	}
	c.FrontendAPIURL = fapiURL
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve serves a handler and returns its address.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// send writes a request byte for byte and reads the answer.
func send(t testing.TB, addr, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func echoTarget(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "clerk ", r.RequestURI) }

func echoApp(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "app ", r.RequestURI) }

func TestMatch(t *testing.T) {
	tests := []struct{ name, proxyURL, target, want string }{
		{"below the path", "", "/__clerk/v1/client", "clerk /v1/client"},
		{"the path itself", "", "/__clerk", "clerk /"},
		{"the path itself with a query", "", "/__clerk?a=1", "clerk /?a=1"},
		{"the path with a slash", "", "/__clerk/", "clerk /"},
		{"a longer name", "", "/__clerk-admin", "app /__clerk-admin"},
		{"another path", "", "/", "app /"},
		{"the path further down", "", "/x/__clerk/v1", "app /x/__clerk/v1"},
		{"the path in the query", "", "/?/__clerk/v1", "app /?/__clerk/v1"},
		{"another case", "", "/__CLERK/v1", "app /__CLERK/v1"},
		{"an escaped form of the path", "", "/%5F_clerk/v1", "app /%5F_clerk/v1"},
		{"an escaped slash is no boundary", "", "/__clerk%2Fv1", "app /__clerk%2Fv1"},
		{"all requests of a server", "", "*", "app *"},
		{"an absolute target", "", "http://app.dev/__clerk/v1?x", "clerk /v1?x"},
		{"a configured path", "/a/b", "/a/b/v1", "clerk /v1"},
		{"a configured path with trailing slashes", "/auth//", "/auth/v1", "clerk /v1"},
		{"an escaped configured path", "/a%20b", "/a%20b/v1", "clerk /v1"},
		{"the path of a configured URL", "https://app.dev/auth", "/auth/v1", "clerk /v1"},
		{"two slashes after the path", "", "/__clerk//evil.com/x", "clerk //evil.com/x"},
		{"dot segments", "", "/__clerk/v1/../x/./y", "clerk /v1/../x/./y"},
		{"escaped dot segments", "", "/__clerk/%2e%2e/x", "clerk /%2e%2e/x"},
		{"escaped slashes", "", "/__clerk/a%2Fb%2fc", "clerk /a%2Fb%2fc"},
		{"an empty query", "", "/__clerk/v1?", "clerk /v1?"},
		{"a query with everything", "", "/__clerk/v1?a=b;c+d&%zz&=&?|\"", "clerk /v1?a=b;c+d&%zz&=&?|\""},
		{"semicolons and plus signs", "", "/__clerk/a;b=c+d", "clerk /a;b=c+d"},
		{"characters that should have been escaped", "", `/__clerk/a|b"c<d>^e`, `clerk /a|b"c<d>^e`},
		{"bytes that are not ASCII", "", "/__clerk/\xc3\xa9?\xff", "clerk /\xc3\xa9?\xff"},
		{"a hash sign elsewhere", "", "/__clerk#x", "app /__clerk#x"},
		{"two slashes and a strange character", "", "/__clerk//a|b", "clerk //a|b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxy(t, Config{ProxyURL: tt.proxyURL}, echoTarget)
			addr := serve(t, p.Middleware(http.HandlerFunc(echoApp)))
			got := body(t, send(t, addr, "GET "+tt.target+" HTTP/1.1\r\nHost: app.dev\r\n\r\n"))
			// An origin form cannot say //a|b with net/url; the absolute form,
			// which every server must accept (RFC 9112 §3.2.2), can.
			got = strings.Replace(got, "http://"+p.target.host, "", 1)
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Who takes it for the beginning of a fragment, and who does not, cannot be known.
func TestAHashSignInATargetIsRefused(t *testing.T) {
	p := newProxy(t, Config{}, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was forwarded", r.RequestURI) })
	addr := serve(t, p.Middleware(http.HandlerFunc(echoApp)))
	for _, target := range []string{"/__clerk/v1#x", "/__clerk/#", "/__clerk?a#b", "/__clerk/a%2F#?b", "http://app.dev/__clerk/v1#x"} {
		wantError(t, send(t, addr, "GET "+target+" HTTP/1.1\r\nHost: app.dev\r\n\r\n"), http.StatusBadRequest, "proxy_request_failed")
	}
}

func TestServeHTTPSaysThatThePathDoesNotMatch(t *testing.T) {
	p := newProxy(t, Config{}, echoTarget)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "http://app.dev/other", nil))
	wantError(t, w.Result(), http.StatusBadRequest, "proxy_path_mismatch")
}

func wantError(t *testing.T, resp *http.Response, status int, code string) {
	t.Helper()
	b := body(t, resp)
	if resp.StatusCode != status || !strings.HasPrefix(b, `{"errors":[{"code":"`+code+`","message":"`) ||
		resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v %s, want %d %s", resp.StatusCode, resp.Header, b, status, code)
	}
}

func TestTheHandlerInFrontMayRewriteThePath(t *testing.T) {
	p := newProxy(t, Config{}, echoTarget)
	addr := serve(t, http.StripPrefix("/tenant", p))
	if got := body(t, send(t, addr, "GET /tenant/__clerk/a%2Fb HTTP/1.1\r\nHost: app.dev\r\n\r\n")); got != "clerk /a%2Fb" {
		t.Errorf("got %q", got)
	}
	addr = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/__clerk/changed" // and RawPath still says otherwise
		p.ServeHTTP(w, r)
	}))
	if got := body(t, send(t, addr, "GET /__clerk/a%2Fb HTTP/1.1\r\nHost: app.dev\r\n\r\n")); got != "clerk /changed" {
		t.Errorf("got %q", got)
	}
}

func TestAFrontendAPIBehindAPath(t *testing.T) {
	fapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/gateway/v1/next")
		if r.URL.Query().Has("out") {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(http.StatusFound)
		fmt.Fprint(w, r.RequestURI)
	}))
	t.Cleanup(fapi.Close)
	p := newProxyTo(t, Config{}, fapi.URL+"/gateway/")
	addr := serve(t, p)
	resp := send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if got := body(t, resp); got != "/gateway/v1" {
		t.Errorf("target %s", got)
	}
	if got := resp.Header.Get("Location"); got != "http://app.dev/__clerk/v1/next" {
		t.Errorf("location %s", got)
	}
	resp = send(t, addr, "GET /__clerk/v1?out HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if got := resp.Header.Get("Location"); got != "/elsewhere" {
		t.Errorf("location %s", got)
	}
}

func TestEnabledDecidesByThePublicURL(t *testing.T) {
	var asked []string
	p := newProxy(t, Config{Enabled: func(u *url.URL) bool {
		asked = append(asked, u.String())
		return u.Hostname() != "off.dev"
	}}, echoTarget)
	addr := serve(t, p.Middleware(http.HandlerFunc(echoApp)))
	for _, tt := range []struct{ request, want string }{
		{"GET /__clerk/v1?q=1 HTTP/1.1\r\nHost: app.dev\r\nX-Forwarded-Proto: https\r\n\r\n", "clerk /v1?q=1"},
		{"GET /__clerk/v1 HTTP/1.1\r\nHost: off.dev\r\n\r\n", "app /__clerk/v1"},
		{"GET /__clerk/v1 HTTP/1.1\r\nHost: internal\r\nX-Forwarded-Host: off.dev\r\n\r\n", "app /__clerk/v1"},
		{"GET /other HTTP/1.1\r\nHost: app.dev\r\n\r\n", "app /other"},
	} {
		if got := body(t, send(t, addr, tt.request)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.request, got, tt.want)
		}
	}
	if want := "https://app.dev/__clerk/v1?q=1 http://off.dev/__clerk/v1 http://off.dev/__clerk/v1"; strings.Join(asked, " ") != want {
		t.Errorf("asked about %v", asked)
	}
	wantError(t, send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: off.dev\r\n\r\n"), 400, "proxy_path_mismatch")
}

func TestHostsThatAreNotAcceptedAreRefused(t *testing.T) {
	p := newProxy(t, Config{Hosts: []string{"app.dev"}}, echoTarget)
	addr := serve(t, p.Middleware(http.HandlerFunc(echoApp)))
	if got := body(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")); got != "clerk /v1" {
		t.Errorf("got %q", got)
	}
	wantError(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: evil.com\r\n\r\n"), 421, "proxy_request_failed")
	wantError(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\nX-Forwarded-Host: evil.com\r\n\r\n"), 421, "proxy_request_failed")
	wantError(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev:99999\r\n\r\n"), 400, "proxy_request_failed")
	if got := body(t, send(t, addr, "GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n")); got != "app /" {
		t.Errorf("what is not Clerk's is not the proxy's to refuse: got %q", got)
	}
}

func TestADevelopmentInstanceIsNotProxied(t *testing.T) {
	noEnvironment(t)
	p, err := New(Config{
		PublishableKey: instance.PublishableKey("foo-bar-1.clerk.accounts.dev", false), SecretKey: "sk_test_abc",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, p.Middleware(http.HandlerFunc(echoApp)))
	if got := body(t, send(t, addr, "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")); got != "app /__clerk/v1" {
		t.Errorf("got %q", got)
	}
	wantError(t, send(t, serve(t, p), "GET /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n"), 500, "proxy_configuration_error")
	if got := p.ProxyURL(httptest.NewRequest("GET", "http://app.dev/", nil)); got != "" {
		t.Errorf("proxy URL %q", got)
	}
}

// TRACE would have the upstream send the secret key back to the client.
func TestTraceIsRefused(t *testing.T) {
	p := newProxy(t, Config{}, func(http.ResponseWriter, *http.Request) { t.Error("it reached the upstream") })
	resp := send(t, serve(t, p), "TRACE /__clerk/v1 HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	wantError(t, resp, 405, "proxy_request_failed")
	if resp.Header.Get("Allow") == "" {
		t.Error("no Allow header, RFC 9110 §15.5.6")
	}
}

func TestProxyURL(t *testing.T) {
	tests := []struct {
		name   string
		config Config
		url    string
		header http.Header
		want   string
	}{
		{"the request's own origin", Config{}, "http://app.dev:8080/any?q", nil, "http://app.dev:8080/__clerk"},
		{"what a trusted proxy reports", Config{}, "http://internal/", http.Header{"X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Proto": {"https"}}, "https://app.dev/__clerk"},
		{"nobody is trusted", Config{TrustedProxies: []netip.Prefix{}}, "http://app.dev/", http.Header{"X-Forwarded-Host": {"evil.com"}}, "http://app.dev/__clerk"},
		{"an absolute proxy URL", Config{ProxyURL: "https://App.dev:443/__clerk/"}, "http://internal/", nil, "https://app.dev/__clerk"},
		{"not enabled", Config{Enabled: func(*url.URL) bool { return false }}, "http://app.dev/", nil, ""},
		{"a host that is not accepted", Config{Hosts: []string{"app.dev"}}, "http://evil.com/", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProxyTo(t, tt.config, "http://localhost:1")
			r := httptest.NewRequest("GET", tt.url, nil)
			r.RemoteAddr = "127.0.0.1:1"
			for name, values := range tt.header {
				r.Header[name] = values
			}
			if got := p.ProxyURL(r); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
