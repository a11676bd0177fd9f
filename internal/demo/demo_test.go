package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// withPackages is a directory that looks as if the npm packages were there:
// these tests run no JavaScript.
func withPackages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"clerk-js", "ui"} {
		at := filepath.Join(dir, "node_modules", "@clerk", name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		manifest := fmt.Sprintf(`{"name":"@clerk/%s","version":"1.2.3"}`, name)
		if err := os.WriteFile(filepath.Join(at, "package.json"), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// running is a demo that a test started.
type running struct {
	url       string
	satellite string // its URL, if there is one
	stop      context.CancelFunc
	ended     chan error
}

func startDemo(t *testing.T) *running {
	t.Helper()
	return start(t, Config{})
}

func start(t *testing.T, config Config) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d := &running{stop: stop, ended: make(chan error, 1)}
	config.Listen, config.NPMDir, config.Out = "127.0.0.1:0", withPackages(t), writer
	go func() {
		d.ended <- Run(ctx, config)
		writer.Close()
	}()
	said := bufio.NewScanner(reader)
	for (d.url == "" || config.Satellite && d.satellite == "") && said.Scan() {
		if _, address, ok := strings.Cut(said.Text(), "Open "); ok {
			d.url = strings.TrimSpace(address)
		}
		if _, address, ok := strings.Cut(said.Text(), "Satellite "); ok {
			d.satellite = strings.TrimSpace(address)
		}
	}
	go func() { // until the demo has ended
		for said.Scan() {
		}
		reader.Close()
	}()
	t.Cleanup(func() {
		stop()
		if d.ended != nil {
			<-d.ended
		}
	})
	if d.url == "" {
		t.Fatal("the demo printed no address")
	}
	return d
}

func get(t *testing.T, url, host string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestClerkAnswersThroughTheProxyAtEveryLoopbackHost(t *testing.T) {
	d := startDemo(t)
	port := d.url[strings.LastIndex(d.url, ":"):]
	// The last is what a container with another published port is called by.
	for _, host := range []string{"localhost" + port, "127.0.0.1" + port, "[::1]" + port, "localhost:9", "LOCALHOST" + port} {
		if resp := get(t, d.url+"/", host); resp.StatusCode != http.StatusOK {
			t.Fatalf("the page at %s: status %d", host, resp.StatusCode)
		}
		if resp := get(t, d.url+"/__clerk/v1/environment", host); resp.StatusCode != http.StatusOK {
			t.Errorf("Clerk's environment at %s: status %d", host, resp.StatusCode)
		}
	}
}

func TestOtherHostsAreSentAway(t *testing.T) {
	d := startDemo(t)
	for _, path := range []string{"/", "/demo/requests", "/__clerk/v1/client"} {
		for _, host := range []string{"rebound.example", "localhost.example", "192.168.1.5:8080"} {
			if resp := get(t, d.url+path, host); resp.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("%s at %s: status %d, want 421", path, host, resp.StatusCode)
			}
		}
	}
}

func TestThePageMayReachNothingButItsOrigin(t *testing.T) {
	d := startDemo(t)
	policy := get(t, d.url+"/", "").Header.Get("Content-Security-Policy")
	directives := map[string]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = sources
	}
	if directives["default-src"] != "'none'" {
		t.Errorf("default-src is %q; what is not named must be forbidden", directives["default-src"])
	}
	nonce, ok := strings.CutPrefix(directives["script-src"], "'self' 'nonce-")
	if nonce = strings.TrimSuffix(nonce, "'"); !ok || len(nonce) < 20 || strings.ContainsAny(nonce, " '") {
		t.Errorf("script-src is %q: an injected script would run", directives["script-src"])
	}
	delete(directives, "script-src")
	allowed := map[string]bool{"'none'": true, "'self'": true, "'unsafe-inline'": true, "data:": true, "blob:": true}
	for name, sources := range directives {
		for source := range strings.FieldsSeq(sources) {
			if !allowed[source] {
				t.Errorf("%s permits %s", name, source)
			}
		}
	}
	if again := get(t, d.url+"/", "").Header.Get("Content-Security-Policy"); strings.Contains(again, nonce) {
		t.Error("two answers have the same nonce")
	}
}

// pageStream is what a page reads from /demo/requests.
type pageStream struct {
	t     *testing.T
	lines *bufio.Scanner
	raw   strings.Builder
}

func openStream(t *testing.T, d *running) *pageStream {
	t.Helper()
	resp := get(t, d.url+"/demo/requests", "")
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type is %q", got)
	}
	return &pageStream{t: t, lines: bufio.NewScanner(resp.Body)}
}

// next is the next event.
func (s *pageStream) next() (name string, data []byte) {
	s.t.Helper()
	for s.lines.Scan() {
		s.raw.WriteString(s.lines.Text())
		if text, ok := strings.CutPrefix(s.lines.Text(), "event: "); ok {
			name = text
		}
		if text, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			return name, []byte(text)
		}
	}
	s.t.Fatalf("the stream ended: %v", s.lines.Err())
	return "", nil
}

// until reads on until the page has been told of a path. A request is told of
// when it has ended, which is after its client has the answer: whether that is
// before the stream is opened or after is anybody's guess.
func (s *pageStream) until(path string) (history bool, found request) {
	s.t.Helper()
	for {
		name, data := s.next()
		var requests []request
		switch name {
		case "history":
			if err := json.Unmarshal(data, &requests); err != nil {
				s.t.Fatal(err)
			}
		case "request":
			requests = make([]request, 1)
			if err := json.Unmarshal(data, &requests[0]); err != nil {
				s.t.Fatal(err)
			}
		}
		for _, r := range requests {
			if !strings.HasPrefix(r.Path, "/__clerk/") {
				s.t.Errorf("the page was told of %s, which is not Clerk's", r.Path)
			}
			if r.Path == path {
				return name == "history", r
			}
		}
	}
}

func TestThePageIsToldOfWhatGoesThroughTheProxy(t *testing.T) {
	d := startDemo(t)
	get(t, d.url+"/", "")
	get(t, d.url+"/__clerk/v1/environment?_is_native=secret", "")

	early := openStream(t, d)
	_, got := early.until("/__clerk/v1/environment")
	if got.Method != "GET" || got.Status != 200 || got.Kind != kindAPI || got.Meaning == "" {
		t.Errorf("the page was told %+v", got)
	}
	get(t, d.url+"/__clerk/v1/client", "")
	if history, _ := early.until("/__clerk/v1/client"); history {
		t.Error("what happened after the page was opened came as history")
	}
	if strings.Contains(early.raw.String(), "secret") {
		t.Error("the page is shown a query")
	}
	if history, _ := openStream(t, d).until("/__clerk/v1/environment"); !history {
		t.Error("a page that is opened later is not told what happened before")
	}
}

func TestAnOpenPageDoesNotHoldUpTheEnd(t *testing.T) {
	d := startDemo(t)
	openStream(t, d).next()
	d.stop()
	select {
	case err := <-d.ended:
		d.ended = nil
		if err != nil {
			t.Errorf("the demo ended with: %v", err)
		}
	case <-time.After(drainTimeout):
		t.Error("the demo waited for the page until the drain timeout")
	}
}

func TestWhatIsMissingIsSaidInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	for _, c := range []struct {
		name, listen, npm, want string
	}{
		{"no npm packages", "127.0.0.1:0", t.TempDir(), "make npm"},
		{"a port in use", taken.Addr().String(), withPackages(t), "port is in use"},
		{"an address that is not this machine's own", "192.0.2.1:8080", withPackages(t), "localhost only"},
		{"no address", "8080", withPackages(t), "host:port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			err := Run(t.Context(), Config{Listen: c.listen, NPMDir: c.npm, Out: &out})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %q, want one line with %q", err, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("it says %q as if it had started", out.String())
			}
		})
	}
	if err := Run(t.Context(), Config{NPMDir: t.TempDir()}); !errors.Is(err, ErrNoPackages) {
		t.Errorf("without packages the error is %v", err)
	}
}

func TestTheFeedIsBounded(t *testing.T) {
	f := newFeed()
	for i := range remembered + 10 {
		f.publish(request{Status: i})
	}
	history, slow, ok := f.subscribe()
	if !ok || len(history) != remembered || history[0].Status != 10 {
		t.Fatalf("%d requests are remembered, from number %d", len(history), history[0].Status)
	}
	for range backlog + 1 {
		f.publish(request{})
	}
	read := 0
	for range slow {
		read++
	}
	if read != backlog {
		t.Errorf("a reader that fell behind was given %d requests, want %d and the end", read, backlog)
	}
	f.unsubscribe(slow) // as its handler does, too late

	for range maxReaders {
		if _, _, ok := f.subscribe(); !ok {
			t.Fatal("a reader was turned away early")
		}
	}
	answer := httptest.NewRecorder()
	f.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/demo/requests", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("one reader too many got status %d", answer.Code)
	}
	f.close()
	if _, _, ok := f.subscribe(); ok {
		t.Error("a closed feed took a reader")
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct{ method, path, kind, meaning string }{
		{"GET", "/v1/environment", kindAPI, "the instance’s settings"},
		{"POST", "/v1/client", kindAPI, "sign out"},
		{"POST", "/v1/client/sign_ins/sia_1/attempt_first_factor", kindAPI, "check the password or the code"},
		{"POST", "/v1/client/sessions/sess_1/tokens", kindAPI, "a new session token"},
		{"POST", "/v1/client/sessions/sess_1/tokens/more", kindAPI, ""},
		{"GET", "/v1/client/", kindAPI, ""},
		{"GET", "", kindAPI, ""},
		{"GET", "/npm/@clerk/clerk-js@6/dist/clerk.browser.js", kindScript, "ClerkJS"},
		{"GET", "/npm/@clerk/ui@1.34.0/dist/signin.js", kindScript, "Clerk’s components"},
	} {
		if kind, meaning := explain(c.method, c.path); kind != c.kind || meaning != c.meaning {
			t.Errorf("%s %s is %q, %q; want %q, %q", c.method, c.path, kind, meaning, c.kind, c.meaning)
		}
	}
}
