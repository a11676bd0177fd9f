package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/metrics"
)

var discard = slog.New(slog.DiscardHandler)

// newServer fills in what a configuration needs.
func newServer(t *testing.T, c Config) *Server {
	t.Helper()
	if c.Metrics == nil {
		c.Metrics = metrics.New(metrics.Config{})
	}
	if c.Health == nil {
		c.Health = notServing()
	}
	c.Logger = discard
	return New(c)
}

func serve(t *testing.T, s *Server, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestWhatThereIs(t *testing.T) {
	plain, profiles := newServer(t, Config{}), newServer(t, Config{Profiles: true})
	for _, tt := range []struct {
		server       *Server
		method, path string
		code         int
		contentType  string
	}{
		{plain, "GET", "/", 200, "text/html; charset=utf-8"},
		{plain, "GET", "/status.js", 200, "text/javascript; charset=utf-8"},
		{plain, "GET", "/status.css", 200, "text/css; charset=utf-8"},
		{plain, "GET", "/icon.svg", 200, "image/svg+xml"},
		{plain, "GET", "/status.json", 200, "application/json"},
		{plain, "GET", "/healthz", 200, "application/json"},
		{plain, "HEAD", "/healthz", 200, "application/json"},
		{plain, "GET", "/readyz", 503, "application/json"},
		{plain, "GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"},
		{plain, "GET", "/elsewhere", 404, "text/plain; charset=utf-8"},
		{plain, "POST", "/", 405, "text/plain; charset=utf-8"},
		{plain, "GET", "/check", 404, "text/plain; charset=utf-8"},
		{plain, "GET", "/debug/pprof/", 404, "text/plain; charset=utf-8"},
		{plain, "GET", "/debug/pprof/heap", 404, "text/plain; charset=utf-8"},
		{profiles, "GET", "/debug/pprof/", 200, "text/html; charset=utf-8"},
		{profiles, "GET", "/debug/pprof/heap", 200, "application/octet-stream"},
		{profiles, "GET", "/debug/pprof/cmdline", 404, "text/plain; charset=utf-8"},
	} {
		resp := serve(t, tt.server, httptest.NewRequest(tt.method, tt.path, nil))
		if resp.StatusCode != tt.code || resp.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s %s: got %d %s", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		h := resp.Header
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") ||
			h.Get("Cache-Control") != "no-store" && tt.code == 200 || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the headers are %v", tt.path, h)
		}
	}
}

// The page keeps to its own policy: nothing inline, nothing from elsewhere.
func TestThePageNeedsNobodyElse(t *testing.T) {
	for _, name := range []string{"index.html", "status.js", "status.css", "icon.svg"} {
		content, err := files.ReadFile("page/" + name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", "")
		for _, not := range []string{`https?:`, `//[a-z]+\.[a-z]`, `<style`, ` style=`, ` on[a-z]+=`, `innerHTML`, `@import`, `eval\(`, `url\(`} {
			if regexp.MustCompile(not).MatchString(text) {
				t.Errorf("%s has %s in it", name, not)
			}
		}
	}
	if script := regexp.MustCompile(`<script[^>]*>[^<]`); script.MatchString(string(must(files.ReadFile("page/index.html")))) {
		t.Error("there is a script in the page")
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestOverLoopbackOnlyItsNamesAreAnswered(t *testing.T) {
	loopback, loopback6 := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, &net.TCPAddr{IP: net.IPv6loopback, Port: 9}
	network := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}
	for _, tt := range []struct {
		local net.Addr
		host  string
		code  int
	}{
		{loopback, "localhost", 200},
		{loopback, "localhost:25375", 200},
		{loopback, "127.0.0.1:25375", 200},
		{loopback, "127.0.0.1", 200},
		{loopback6, "[::1]:25375", 200},
		{loopback6, "[::1]", 200},
		{loopback, "rebound.example", 421},
		{loopback, "rebound.example:25375", 421},
		{loopback, "localhost.rebound.example", 421},
		{loopback, "127.0.0.1.rebound.example", 421},
		{loopback, "10.0.0.1", 421},
		{loopback, "", 421},
		{loopback6, "rebound.example", 421},
		{network, "metrics.internal:25375", 200}, // as Prometheus calls it
		{nil, "example.com", 200},
	} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Host = tt.host
		if tt.local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
		}
		if resp := serve(t, newServer(t, Config{}), r); resp.StatusCode != tt.code {
			t.Errorf("%v, Host %q: got %d, want %d", tt.local, tt.host, resp.StatusCode, tt.code)
		}
	}
}

// A page elsewhere cannot have a check made.
func TestACheckIsNotMadeForAnotherOrigin(t *testing.T) {
	ran := make(chan struct{}, 9)
	for name, header := range map[string]http.Header{
		"from another site":           {"Sec-Fetch-Site": {"cross-site"}},
		"from another port":           {"Sec-Fetch-Site": {"same-site"}},
		"from an old browser's other": {"Origin": {"http://localhost:3000"}},
	} {
		s := newServer(t, Config{Check: func(context.Context, func(check.Report)) error { ran <- struct{}{}; return nil }})
		r := httptest.NewRequest("POST", "http://localhost:25375/check", nil)
		r.Header = header
		if resp := serve(t, s, r); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d", name, resp.StatusCode)
		}
		if s.checks.status().Running || len(ran) > 0 {
			t.Errorf("%s: it was made", name)
		}
	}
}

func TestChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, end := make(chan string), make(chan error)
		s := newServer(t, Config{Check: func(ctx context.Context, found func(check.Report)) error {
			report := check.Report{ProxyURL: "https://app.dev/__clerk"}
			for {
				select {
				case name := <-step:
					report.Steps = append(report.Steps, check.Step{Name: name, Status: check.OK})
					found(report)
				case err := <-end:
					return err
				}
			}
		}})
		if got := statusOf(t, s).Check; got == nil || got.At != 0 || got.Running {
			t.Errorf("before the first: %+v", got)
		}
		post := func() *http.Response { return serve(t, s, httptest.NewRequest("POST", "/check", nil)) }
		if code := post().StatusCode; code != http.StatusAccepted {
			t.Fatalf("got %d", code)
		}
		step <- "certificate"
		step <- "cookies"
		synctest.Wait()
		if got := statusOf(t, s).Check; !got.Running || len(got.Reports) != 1 || len(got.Reports[0].Steps) != 2 {
			t.Errorf("under way: %+v", got)
		}
		if code := post().StatusCode; code != http.StatusTooManyRequests {
			t.Errorf("a second one at the same time: got %d", code)
		}
		end <- nil
		synctest.Wait()
		if got := statusOf(t, s).Check; got.Running || got.At == 0 || len(got.Reports) != 1 || got.Reports[0].Steps[1].Name != "cookies" {
			t.Errorf("after it: %+v", got)
		}
		if resp := post(); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "11" {
			t.Errorf("at once again: got %d, try again in %s", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		time.Sleep(checkEvery)
		post()
		end <- errors.New("no network")
		synctest.Wait()
		if got := statusOf(t, s).Check; got.Error != "no network" || len(got.Reports) != 0 {
			t.Errorf("after a failure: %+v", got)
		}
	})
}

func TestWithoutACheckThereIsNoButton(t *testing.T) {
	s := newServer(t, Config{})
	if got := statusOf(t, s).Check; got != nil {
		t.Errorf("got %+v", got)
	}
	if resp := serve(t, s, httptest.NewRequest("POST", "/check", nil)); resp.StatusCode != 404 {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func statusOf(t *testing.T, s *Server) status {
	t.Helper()
	var st status
	if err := json.NewDecoder(serve(t, s, httptest.NewRequest("GET", "/status.json", nil)).Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestTheStatusPagesNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var proxy clerkproxy.Stats
		change := func(to func()) { mu.Lock(); defer mu.Unlock(); to() }
		m := metrics.New(metrics.Config{Sites: func() []metrics.SiteStats {
			mu.Lock()
			defer mu.Unlock()
			return []metrics.SiteStats{{Name: "app.dev", Stats: proxy}}
		}})
		s := newServer(t, Config{
			Version:  "v1.2.3",
			Metrics:  m,
			InFlight: func() int { return 3 },
			Reloads: func() metrics.Reloads {
				return metrics.Reloads{Failed: 1, LastFailed: true, LastSuccess: time.Unix(1, 0)}
			},
			Sites: func() []Site {
				return []Site{{Name: "app.dev", ProxyURL: "/__clerk", FrontendAPI: "https://frontend-api.clerk.dev", AssetCache: 1 << 20}}
			},
			Certificates: func() []metrics.Certificate {
				return []metrics.Certificate{{Name: "later.dev", NotAfter: time.Now().Add(50 * time.Hour)}, {Name: "app.dev", Issuer: "X", NotAfter: time.Now().Add(time.Hour)}, {Name: "new.dev", Failure: "refused"}}
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.history.watch(ctx) }()
		defer func() { stop(); <-done }()

		time.Sleep(time.Millisecond) // no reading is at the moment of a request
		// Ten requests a second for a minute, every tenth of them 502.
		for range 60 {
			for i := range 10 {
				r := metrics.Request{Kind: metrics.FrontendAPI, Status: 200, Duration: 100 * time.Millisecond}
				if i == 0 {
					r.Status = 502
					change(func() { proxy.Errors.Unreachable++ })
				}
				m.Site("app.dev").Request(r)
				change(func() { proxy.Upstream.Requests++ })
			}
			m.Site("").Request(metrics.Request{Kind: metrics.Refused, Status: 421})
			time.Sleep(time.Second)
		}
		change(func() { proxy.Upstream.Opened, proxy.Upstream.Open, proxy.Assets.Bytes = 6, 5, 1000 })
		synctest.Wait()
		got := statusOf(t, s)

		if c := got.Current; math.Round(c.Requests) != 11 || c.Failures != 0.091 || c.InFlight != 3 || c.P50 <= 75 || c.P50 > 100 || c.P99 > 100 {
			t.Errorf("now: %+v", c)
		}
		if n := len(got.Series.Requests); n != 30 || len(got.Series.P95) != n || len(got.Series.Failures) != n || len(got.Series.InFlight) != n {
			t.Errorf("the lines have %d, %d, %d and %d values", n, len(got.Series.P95), len(got.Series.Failures), len(got.Series.InFlight))
		}
		if last := got.Series.Requests[29]; last != 11 {
			t.Errorf("the line ends at %v", last)
		}
		if k := got.Kinds[metrics.FrontendAPI]; k.Kind != "frontend_api" || k.Rate != 10 || k.Total != 600 || fmt.Sprint(k.Classes) != "map[2xx:540 5xx:60]" {
			t.Errorf("the Frontend API: %+v", k)
		}
		if e := got.Errors[0]; e != (errorStatus{"unreachable", 60, 60}) {
			t.Errorf("errors: %+v", got.Errors)
		}
		if c := got.Connections; c.Open != 5 || c.Opened != 6 || c.Requests != 600 || c.LastAnswer != 0 {
			t.Errorf("connections: %+v", c)
		}
		if c := got.Cache; c.Bytes != 1000 || c.Limit != 1<<20 {
			t.Errorf("cache: %+v", c)
		}
		if len(got.Sites) != 1 || got.Sites[0].Rate != 10 || got.Sites[0].Failures != 0.1 || got.Sites[0].ProxyURL != "/__clerk" {
			t.Errorf("sites: %+v", got.Sites)
		}
		if len(got.Certificates) != 3 || got.Certificates[0] != (certificate{Name: "new.dev", Failure: "refused"}) || got.Certificates[1].Name != "app.dev" {
			t.Errorf("certificates: %+v", got.Certificates)
		}
		if r := got.Reloads; r.Failed != 1 || !r.LastFailed || r.LastSuccess != 1000 {
			t.Errorf("reloads: %+v", r)
		}
		if got.Version != "v1.2.3" || got.Now-got.Started != 60_001 {
			t.Errorf("%s since %d", got.Version, got.Now-got.Started)
		}

		// After a reload the proxy's counts begin anew. What has been is not
		// taken away from what comes.
		change(func() { proxy = clerkproxy.Stats{Errors: clerkproxy.ErrorStats{Unreachable: 2}} })
		if e := statusOf(t, s).Errors[0]; e != (errorStatus{"unreachable", 2, 2}) {
			t.Errorf("errors after a reload: %+v", e)
		}

		// Long after, the lines have their full length, and nothing happens.
		time.Sleep(time.Hour)
		synctest.Wait()
		got = statusOf(t, s)
		if len(got.Series.Requests) != int(span/step) || got.Current.Requests != 0 || got.Current.P95 != 0 || got.Errors[0].Recent != 0 {
			t.Errorf("an hour later: %d values, %+v, %+v", len(got.Series.Requests), got.Current, got.Errors[0])
		}
	})
}

func TestEvents(t *testing.T) {
	events := new(Events)
	log := slog.New(events.Handler(slog.DiscardHandler)).With("a", 1).WithGroup("g")
	log.Info("request", "reason", "none")
	for range 3 {
		log.Warn("it failed", "path", "/secret", "reason", "connection refused")
		log.Error("it broke")
	}
	got := events.all()
	if len(got) != 2 || got[0].Message != "it broke" || got[0].Level != "ERROR" || got[1].Reason != "connection refused" || got[1].Count != 3 {
		t.Errorf("got %+v", got)
	}
	if text := fmt.Sprint(got); strings.Contains(text, "secret") {
		t.Error(text)
	}
	for i := range 100 {
		log.Warn(fmt.Sprint("warning ", i))
	}
	if got := events.all(); len(got) != maxEvents || got[0].Message != "warning 99" {
		t.Errorf("%d events, the last %s", len(got), got[0].Message)
	}
	if got := (*Events)(nil).all(); got == nil || len(got) != 0 {
		t.Errorf("nobody's events: %v", got)
	}
}

// A port that is taken is waited for.
func TestRunServesOnceItCanUntilItIsToldToEnd(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	said := make(lines, 16)
	c := Config{Metrics: metrics.New(metrics.Config{}), Health: notServing(), Logger: slog.New(slog.NewTextHandler(said, nil))}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); New(c).Run(ctx, address) }()
	if line := <-said; !strings.Contains(line, "the port of "+address+" is in use") {
		t.Errorf("it said %s", line)
	}
	taken.Close()
	if line := <-said; !strings.Contains(line, "url=http://"+address+"/") {
		t.Errorf("it said %s", line)
	}

	resp, err := http.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("got %d", resp.StatusCode)
	}
	// Over a real connection the guard knows where it leads.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 421 ") {
		t.Errorf("got %s %v", line, err)
	}
	stop()
	<-ended
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("it still listens")
	}
}

// A process that takes over finds the port taken, for a moment: nothing to be
// warned of at every restart.
func TestRunTriesOnceBeforeItComplains(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := make(lines, 16)
	log := slog.New(slog.NewTextHandler(said, nil))
	c := Config{Metrics: metrics.New(metrics.Config{}), Health: notServing(), Logger: log}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); New(c).Run(ctx, taken.Addr().String()) }()
	// What comes after a second has been tried for the second time.
	time.AfterFunc(listenAgain/2, func() { log.Info("let go"); taken.Close() })
	for _, want := range []string{"let go", "admin pages"} {
		if line := <-said; !strings.Contains(line, want) {
			t.Errorf("it said %s", line)
		}
	}
	stop()
	<-ended
}

// lines is a log, a line at a time.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
