package emulator

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

const testProxyURL = "https://example.com/__clerk"

var ada = User{Email: "ada@example.com", Password: "analytical engine", FirstName: "Ada", LastName: "Lovelace"}

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T, config Config) *Server {
	t.Helper()
	s, err := Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// answer is what came back, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any // nil when the body is not an object
	proto  int
}

// at walks the JSON by a dotted path.
func (a answer) at(path string) any {
	var value any = a.json
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			if len(v) == 0 {
				return nil
			}
			value = v[0]
			if name != "0" {
				value = value.(map[string]any)[name]
			}
		default:
			return nil
		}
	}
	return value
}

func (a answer) code() any { return a.at("errors.0.code") }

func (s *Server) testClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.RootCAs()}, ForceAttemptHTTP2: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func do(t *testing.T, client *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: body, proto: response.ProtoMajor}
	json.Unmarshal(body, &a.json)
	return a
}

func request(t *testing.T, method, target string, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// browser is a browser behind a proxy: it keeps cookies and sends what a proxy
// adds. Cookies are kept by hand, so that a test sees every attribute.
type browser struct {
	t        *testing.T
	server   *Server
	client   *http.Client
	cookies  map[string]*http.Cookie
	proxyURL string
	header   http.Header // further headers
}

func newBrowser(t *testing.T, s *Server) *browser {
	return &browser{t: t, server: s, client: s.testClient(), cookies: map[string]*http.Cookie{}, proxyURL: testProxyURL, header: http.Header{}}
}

func (b *browser) get(path string) answer { return b.send(http.MethodGet, path, nil) }

func (b *browser) post(path string, form url.Values) answer {
	return b.send(http.MethodPost, path, form)
}

func (b *browser) send(method, path string, form url.Values) answer {
	b.t.Helper()
	r := request(b.t, method, b.server.FrontendAPI+path, form.Encode())
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://example.com")
	}
	r.Header.Set("Clerk-Proxy-Url", b.proxyURL)
	r.Header.Set("Clerk-Secret-Key", b.server.SecretKey)
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	for name, values := range b.header {
		r.Header[name] = values
	}
	for _, cookie := range b.cookies {
		r.AddCookie(cookie)
	}
	a := do(b.t, b.client, r)
	for _, line := range a.header["Set-Cookie"] {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			b.t.Fatalf("Set-Cookie %q: %v", line, err)
		}
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie
		}
	}
	return a
}

// signIn signs in by password and answers the session's id.
func (b *browser) signIn(u User) string {
	b.t.Helper()
	a := b.post("/v1/client/sign_ins", url.Values{"identifier": {u.Email}, "strategy": {"password"}, "password": {u.Password}})
	id, ok := a.at("response.created_session_id").(string)
	if a.status != http.StatusOK || !ok {
		b.t.Fatalf("signing in: %d %s", a.status, a.body)
	}
	return id
}

func TestTheZeroConfigServesBothAPIsOverHTTP2(t *testing.T) {
	s := start(t, Config{})
	for name, base := range map[string]string{"frontend": s.FrontendAPI, "backend": s.BackendAPI} {
		r := request(t, http.MethodGet, base+"/v1/jwks", "")
		if a := do(t, s.testClient(), r); a.proto != 2 || a.header.Get("X-Clerk-Trace-Id") == "" {
			t.Errorf("%s: HTTP/%d, trace id %q", name, a.proto, a.header.Get("X-Clerk-Trace-Id"))
		}
	}
}

func TestTheCertificateIsForClerksOwnHosts(t *testing.T) {
	s := start(t, Config{Domain: "app.dev", TLSHosts: []string{"clerk.test", "192.0.2.1"}})
	address := strings.TrimPrefix(s.FrontendAPI, "https://")
	for _, host := range []string{"frontend-api.clerk.dev", "api.clerk.com", "clerk.app.dev", "localhost", "127.0.0.1", "::1", "clerk.test", "192.0.2.1"} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.RootCAs(), ServerName: host})
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		conn.Close()
	}
}

func TestATLSHostThatIsNone(t *testing.T) {
	for _, host := range []string{"", "https://clerk.test", "clerk.test:8443", "*.test", "two hosts"} {
		if _, err := Start(Config{TLSHosts: []string{host}}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the TLS host %q: is neither a host name nor an IP address", host)) {
			t.Errorf("%q: got %v", host, err)
		}
	}
}

func TestTheEnvironmentIsOneProductionInstance(t *testing.T) {
	s := start(t, Config{Domain: "app.dev"})
	env := map[string]string{}
	for _, line := range s.Env() {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	inst, err := instance.ParsePublishableKey(env["CLERK_PUBLISHABLE_KEY"])
	if err != nil || !inst.Live || inst.FrontendAPI != "clerk.app.dev" {
		t.Errorf("publishable key: %+v, %v", inst, err)
	}
	if live, err := instance.ParseSecretKey(env["CLERK_SECRET_KEY"]); err != nil || !live {
		t.Errorf("secret key: live %v, %v", live, err)
	}
	if env["CLERK_FAPI_URL"] != s.FrontendAPI || env["CLERK_API_URL"] != s.BackendAPI {
		t.Errorf("URLs: %v", env)
	}
	if !strings.HasPrefix(env["CLERK_JWT_KEY"], "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("CLERK_JWT_KEY is %q", env["CLERK_JWT_KEY"])
	}
}

func TestStartNamesEveryProblem(t *testing.T) {
	_, err := Start(Config{
		ProxyURLs: []string{"https://elsewhere.test/__clerk", "ftp://example.com"},
		Users:     []User{{Email: "nobody"}, {Email: "ada@example.com", Password: "short"}},
	})
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"elsewhere.test", "ftp://example.com", "nobody", "form_password_length_too_short"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s: %v", want, err)
		}
	}
	if _, err := Start(Config{Domain: "not a domain"}); err == nil || !strings.Contains(err.Error(), `the domain "not a domain": is not a domain name`) {
		t.Errorf("a bad domain: %v", err)
	}
}

func TestStartReportsAnAddressThatIsTaken(t *testing.T) {
	s := start(t, Config{})
	if _, err := Start(Config{BackendAPIAddr: strings.TrimPrefix(s.BackendAPI, "https://")}); err == nil || !strings.Contains(err.Error(), "Backend API") {
		t.Errorf("got %v", err)
	}
}

func TestOnRequestIsToldNothingSecret(t *testing.T) {
	told := make(chan Request, 1)
	s := start(t, Config{ProxyURLs: []string{testProxyURL}, OnRequest: func(r Request) { told <- r }})
	newBrowser(t, s).post("/v1/client?_method=PUT&secret=1", nil)
	r := <-told
	if r.API != "frontend" || r.Method != http.MethodPut || r.Path != "/v1/client" || r.Status != http.StatusOK || r.ForwardedFor != "203.0.113.7" {
		t.Errorf("got %+v", r)
	}
}

// The whole emulator at once, for the race detector.
func TestManyBrowsersAtOnce(t *testing.T) {
	s := start(t, Config{ProxyURLs: []string{testProxyURL}, Users: []User{ada}})
	t.Run("browsers", func(t *testing.T) {
		for range 8 {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				b := newBrowser(t, s)
				for range 5 {
					id := b.signIn(ada)
					b.post("/v1/client/sessions/"+id+"/tokens", nil)
					b.get("/v1/me/sessions/active")
					b.send(http.MethodPatch, "/v1/me", url.Values{"first_name": {"Augusta"}})
					s.Users()
					s.Domains()
					b.send(http.MethodDelete, "/v1/client/sessions", nil)
				}
			})
		}
	})
	if got := len(s.Sessions()); got != 40 {
		t.Errorf("%d sessions, want 40", got)
	}
}

// forwarding is the smallest proxy that meets the contract. Each of its headers
// can be spoiled.
type forwarding struct {
	*httptest.Server
	path  string
	spoil func(*http.Request)
}

func newForwarding(t *testing.T, s *Server, spoil func(*http.Request)) *forwarding {
	t.Helper()
	target, err := url.Parse(s.FrontendAPI)
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarding{path: "/__clerk", spoil: spoil}
	f.Server = httptest.NewServer(http.StripPrefix(f.path, &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Header.Set("Clerk-Proxy-Url", f.proxyURL())
			p.Out.Header.Set("Clerk-Secret-Key", s.SecretKey)
			p.Out.Header.Set("X-Forwarded-For", "198.51.100.9")
			if f.spoil != nil {
				f.spoil(p.Out)
			}
		},
		Transport: s.testClient().Transport,
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *forwarding) proxyURL() string { return f.URL + f.path }
