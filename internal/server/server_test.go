package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/metrics"
)

const (
	publishableKey = "pk_live_Y2xlcmsuYXBwLmRldiQ"
	secretKey      = "sk_live_51f0c1e2d3a4b5"
)

// patience is how long something may take that happens at once.
const patience = 20 * time.Second

// await returns the next of a channel, or when it is closed.
func await[T any](t *testing.T, c <-chan T) (next T) {
	t.Helper()
	select {
	case next = <-c:
	case <-time.After(patience):
		t.Fatal("it does not come")
	}
	return next
}

// until waits for a state that nothing tells of.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
	}
}

// A logBook collects what is logged, a JSON object a line.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// entries are those with the message, at least one: a line may be written after
// what it tells of can be seen.
func (b *logBook) entries(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	until(t, "a log line "+message, func() bool {
		found = b.search(t, message)
		return len(found) > 0
	})
	return found
}

func (b *logBook) search(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("not a JSON line: %s", line)
		}
		if entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found
}

func (b *logBook) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A fixture is a server under test, reachable at URL.
type fixture struct {
	*httptest.Server
	log    *logBook
	access chan Access
}

// withKeys is a site with the keys of the tests.
func withKeys(site Site) Site {
	site.Proxy.PublishableKey, site.Proxy.SecretKey = publishableKey, secretKey
	return site
}

func trusting(proxies []netip.Prefix) func(*Config) {
	return func(c *Config) { c.TrustedProxies = proxies }
}

func drainingFor(timeout time.Duration) func(*Config) {
	return func(c *Config) { c.DrainTimeout = timeout }
}

// start serves a site, whose keys it fills in.
func start(t *testing.T, site Site, options ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{log: new(logBook), access: make(chan Access, 64)}
	c := Config{
		Sites:    []Site{withKeys(site)},
		Logger:   f.log.logger(),
		OnAccess: func(a Access) { f.access <- a },
	}
	for _, option := range options {
		option(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewServer(s.Handler())
	t.Cleanup(f.Close)
	return f
}

// get requests a path and returns the answer with its body read.
func (f *fixture) get(t *testing.T, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	return whole(t, resp, err)
}

// whole reads an answer to its end.
func whole(t *testing.T, resp *http.Response, err error) (*http.Response, string) {
	t.Helper()
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

// serve starts a stand-in for an upstream.
func serve(t *testing.T, handler http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRequestsGoToClerkOrToTheApplication(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "clerk "+r.URL.Path+" "+r.Header.Get("X-Request-Id"))
	})
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "app "+r.URL.Path+" "+r.Header.Get("X-Request-Id"))
	})
	f := start(t, Site{Proxy: clerkproxy.Config{FrontendAPIURL: fapi.String()}, AppURL: app})

	if _, body := f.get(t, "/__clerk/v1/client", nil); body != "clerk /v1/client " {
		t.Errorf("got %q: Clerk gets the headers that the client sent, and no others", body)
	}
	if a := await(t, f.access); a.Target != TargetClerk {
		t.Errorf("got %+v", a)
	}
	_, body := f.get(t, "/page", nil)
	a := await(t, f.access)
	if a.Target != TargetApp || body != "app /page "+a.RequestID {
		t.Errorf("got %q, %+v", body, a)
	}
}

func TestWithoutAnApplicationOthersAreNotFound(t *testing.T) {
	f := start(t, Site{})
	resp, body := f.get(t, "/page", nil)
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "answers under /__clerk only") {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if a := await(t, f.access); a.Target != TargetNone || a.Kind() != metrics.Refused {
		t.Errorf("got %+v", a)
	}
}

func TestNewReportsEveryProblem(t *testing.T) {
	for _, name := range []string{"CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY"} {
		t.Setenv(name, "")
	}
	_, err := New(Config{
		Listen: []string{"8080"},
		Sites: []Site{{
			App:    http.NotFoundHandler(),
			AppURL: &url.URL{Scheme: "http", Host: "127.0.0.1:3000"},
			Proxy:  clerkproxy.Config{ProxyURL: "__clerk"},
		}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Listen", "AppURL", "PublishableKey", "SecretKey", "ProxyURL"} {
		if !strings.Contains(err.Error(), "clerkproxy: "+field) {
			t.Errorf("nothing about %s in:\n%v", field, err)
		}
	}
}

func TestAnApplicationAtTheServersOwnAddressIsRefused(t *testing.T) {
	tests := []struct {
		listen, app string
		refused     bool
	}{
		{"127.0.0.1:8080", "http://127.0.0.1:8080", true},
		{":8080", "http://localhost:8080", true},
		{"0.0.0.0:8080", "http://[::1]:8080/base", true},
		{":80", "http://localhost", true},
		{":8080", "http://localhost:3000", false},
		{":8080", "http://app:8080", false},
		{"192.0.2.1:8080", "http://127.0.0.1:8080", false},
	}
	for _, tt := range tests {
		t.Run(tt.listen+" "+tt.app, func(t *testing.T) {
			app, err := url.Parse(tt.app)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(Config{Listen: []string{tt.listen}, Sites: []Site{withKeys(Site{AppURL: app})}})
			if refused := err != nil; refused != tt.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A running server, and how to stop it.
type running struct {
	*Server
	url       string
	log       *logBook
	config    Config
	listening chan net.Addr
	stop      context.CancelCauseFunc
	stopped   chan error
}

func run(t *testing.T, site Site, options ...func(*Config)) *running {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &running{log: new(logBook), listening: make(chan net.Addr, 8), stop: cancel, stopped: make(chan error, 1)}
	ready := make(chan struct{})
	c := Config{
		Listen:       []string{"127.0.0.1:0"},
		Sites:        []Site{withKeys(site)},
		DrainTimeout: time.Second,
		Logger:       r.log.logger(),
		OnListen:     func(a net.Addr, _ string) { r.listening <- a },
		OnReady:      func() { close(ready) },
	}
	for _, option := range options {
		option(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Server, r.config = s, c
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.stopped <- s.Run(ctx)
	}()
	t.Cleanup(func() { cancel(nil); <-ended })
	select {
	case <-ready:
	case err := <-r.stopped:
		t.Fatal(err)
	}
	r.url = "http://" + (<-r.listening).String()
	return r
}

func TestRunLetsRequestsUnderWayEnd(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	r := run(t, Site{App: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-release
		io.WriteString(w, "whole")
	})})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(r.url + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answer <- string(body)
	}()

	await(t, began)
	r.stop(nil)
	waitUntilRefused(t, strings.TrimPrefix(r.url, "http://"))
	close(release)
	if got := await(t, answer); got != "whole" {
		t.Errorf("got %q", got)
	}
	if err := await(t, r.stopped); err != nil {
		t.Errorf("got %v after a clean drain", err)
	}
}

// waitUntilRefused returns when nobody listens at the address any more.
func waitUntilRefused(t *testing.T, address string) {
	t.Helper()
	until(t, "the end of "+address, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func TestRunCutsOffWhatOutlivesTheDrainTimeout(t *testing.T) {
	began := make(chan struct{})
	r := run(t, Site{App: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})}, drainingFor(time.Millisecond))
	go func() {
		if resp, err := http.Get(r.url); err == nil {
			resp.Body.Close()
		}
	}()
	await(t, began)
	r.stop(nil)
	err := await(t, r.stopped)
	if err == nil || !strings.Contains(err.Error(), "did not end within the drain timeout of 1ms and were cut off (1)") {
		t.Errorf("got %v", err)
	}
	if entries := r.log.entries(t, "request"); len(entries) != 1 || entries[0]["aborted"] != AbortedByShutdown {
		t.Errorf("got %v", entries)
	}
}

func TestAConnectionWithoutARequestIsNotCutOff(t *testing.T) {
	r := run(t, Site{}, drainingFor(time.Millisecond))
	// Browsers open one ahead of need. The answer on the second shows that the
	// first has been accepted.
	ahead, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer ahead.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	do(t, req)
	r.stop(nil)
	if err := await(t, r.stopped); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestRunClosesWebSocketsWhenItStops(t *testing.T) {
	app := serve(t, echoUpgrade)
	r := run(t, Site{AppURL: app})
	conn, _ := upgrade(t, strings.TrimPrefix(r.url, "http://"))
	r.stop(nil)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the WebSocket is still open")
	}
	if err := await(t, r.stopped); err != nil {
		t.Errorf("got %v", err)
	}
	if entries := r.log.entries(t, "request"); len(entries) != 1 || entries[0]["status"] != 101.0 {
		t.Errorf("got %v", entries)
	}
}

func TestRunSaysThatThePortIsInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := New(Config{Listen: []string{l.Addr().String()}, Sites: []Site{withKeys(Site{})}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "listen on "+l.Addr().String()+": the port is in use") {
		t.Errorf("got %v", err)
	}
}

func TestHeadersTooLargeAreRefused(t *testing.T) {
	r := run(t, Site{App: http.NotFoundHandler()})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", "a="+strings.Repeat("x", 60<<10))
	if resp, _ := do(t, req); resp.StatusCode != http.StatusNotFound {
		t.Errorf("60 KiB of cookies: got %d", resp.StatusCode)
	}
	req.Header.Set("Cookie", "a="+strings.Repeat("x", 80<<10))
	if resp, _ := do(t, req); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("80 KiB of cookies: got %d", resp.StatusCode)
	}
}

// echoUpgrade switches to a protocol that sends back what it receives.
func echoUpgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "not an upgrade", http.StatusBadRequest)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	rw.Flush()
	io.Copy(conn, rw)
}

// upgrade shakes hands as a browser does for a WebSocket.
func upgrade(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, "GET /socket?room=1 HTTP/1.1\r\nHost: app.dev\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("got %s %v", resp.Status, resp.Header)
	}
	return conn, br
}

func TestAPortThatTakesPrivilegesSaysHowToGetIt(t *testing.T) {
	err := new(listeners).explain(":443", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)})
	for _, way := range []string{"listen on :443", "CAP_NET_BIND_SERVICE", "systemd:NAME"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("%v does not say %s", err, way)
		}
	}
}

func TestListenErrorsKeepTheirCause(t *testing.T) {
	cause := errors.New("cause")
	err := new(listeners).explain(":80", &net.OpError{Op: "listen", Err: cause})
	if !errors.Is(err, cause) || err.Error() != "listen on :80: cause" {
		t.Errorf("got %v", err)
	}
}
