package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
)

// reload changes the configuration of a running server.
func (r *running) reload(t *testing.T, change func(*Config)) {
	t.Helper()
	if err := r.tryReload(change); err != nil {
		t.Fatal(err)
	}
}

func (r *running) tryReload(change func(*Config)) error {
	c := r.config
	c.Sites = slices.Clone(c.Sites)
	change(&c)
	err := r.Reload(func() (Config, error) { return c, nil })
	if err == nil {
		r.config = c
	}
	return err
}

// An upstream notes who asks and with which connections.
type upstreamServer struct {
	*url.URL
	mu     sync.Mutex
	peers  []string // of each request, in order
	closed chan string
}

func newUpstream(t *testing.T, handler http.HandlerFunc) *upstreamServer {
	t.Helper()
	u := &upstreamServer{closed: make(chan string, 64)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.peers = append(u.peers, r.RemoteAddr)
		u.mu.Unlock()
		handler(w, r)
	}))
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			u.closed <- c.RemoteAddr().String()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	var err error
	if u.URL, err = url.Parse(s.URL); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *upstreamServer) asked() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.peers)
}

// A keptConn is a client's connection that is used for one request after another.
type keptConn struct {
	net.Conn
	*bufio.Reader
}

func keep(t *testing.T, serverURL string) keptConn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(serverURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return keptConn{conn, bufio.NewReader(conn)}
}

func (c keptConn) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c.Conn, "GET "+path+" HTTP/1.1\r\nHost: app.dev\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestAReloadTakesEffectAtOnceAndLeavesRequestsAsTheyBegan(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	former := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		io.WriteString(w, "former")
	})
	next := newUpstream(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "next") })
	r := run(t, Site{AppURL: former.URL})
	slow, kept := keep(t, r.url), keep(t, r.url)
	if _, body := kept.get(t, "/"); body != "former" {
		t.Fatalf("got %q", body)
	}
	answer := make(chan string, 1)
	go func() {
		_, body := slow.get(t, "/slow")
		answer <- body
	}()
	await(t, began)

	r.reload(t, func(c *Config) { c.Sites[0].AppURL = next.URL })
	if _, body := kept.get(t, "/"); body != "next" {
		t.Errorf("after the reload the former application answers %q", body)
	}
	close(release)
	if got := await(t, answer); got != "former" {
		t.Errorf("the request under way was answered %q", got)
	}
	// With its last request the former site's connections go.
	peers := former.asked()
	slices.Sort(peers)
	for range slices.Compact(peers) {
		await(t, former.closed)
	}
	if _, body := slow.get(t, "/"); body != "next" {
		t.Errorf("the connection of the slow request: %q", body)
	}
}

func TestASiteThatStaysKeepsItsConnectionsAndItsCache(t *testing.T) {
	clerk := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/npm/") {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		io.WriteString(w, r.Header.Get("Clerk-Secret-Key"))
	})
	app := newUpstream(t, func(http.ResponseWriter, *http.Request) {})
	site := Site{AppURL: app.URL, Proxy: clerkproxy.Config{FrontendAPIURL: clerk.String(), AssetCache: 1 << 20}}
	r := run(t, site)
	conn := keep(t, r.url)
	conn.get(t, "/__clerk/npm/clerk.js")
	conn.get(t, "/")

	r.reload(t, func(c *Config) {
		c.Sites[0].Proxy.SecretKey = "sk_live_rotated"
		c.Sites = append(c.Sites, answering("another", "another.dev"))
	})
	conn.get(t, "/")
	if peers := app.asked(); len(peers) != 2 || peers[0] != peers[1] {
		t.Errorf("the application was asked by %v", peers)
	}
	if resp, body := conn.get(t, "/__clerk/npm/clerk.js"); len(clerk.asked()) != 1 || body != secretKey {
		t.Errorf("the script was fetched again: %v %s", resp.Header, body)
	}
	if _, body := conn.get(t, "/__clerk/v1/client"); body != "sk_live_rotated" {
		t.Errorf("Clerk was given the key %q", body)
	}

	// Anything else makes it another site.
	r.reload(t, func(c *Config) { c.Sites[0].Proxy.ProxyURL = "/clerk" })
	conn.get(t, "/clerk/npm/clerk.js")
	if n := len(clerk.asked()); n != 3 {
		t.Errorf("Clerk was asked %d times", n)
	}
}

func TestABadConfigurationLeavesTheFormerInForce(t *testing.T) {
	r := run(t, answering("former"))
	if !r.Reloads().LastSuccess.IsZero() {
		t.Errorf("got %+v before any reload", r.Reloads())
	}
	unreadable := errors.New("clerk-proxy.yaml:3: sites: is wrong")
	if err := r.Reload(func() (Config, error) { return Config{}, unreadable }); err != unreadable {
		t.Errorf("got %v", err)
	}
	if err := r.tryReload(func(c *Config) { c.Sites = append(c.Sites, answering("two"), answering("two", "a b")) }); err == nil {
		t.Error("a bad configuration is taken")
	}
	if s := r.Reloads(); s.Failed != 2 || s.Succeeded != 0 || !strings.Contains(s.LastError, "a b") {
		t.Errorf("got %+v", s)
	}
	if _, body := keep(t, r.url).get(t, "/"); body != "former" {
		t.Errorf("got %q", body)
	}
	r.reload(t, func(c *Config) { c.Sites = []Site{answering("next")} })
	if _, body := keep(t, r.url).get(t, "/"); body != "next" {
		t.Errorf("got %q", body)
	}
	if s := r.Reloads(); s.Failed != 2 || s.Succeeded != 1 || s.LastError != "" || s.LastSuccess.IsZero() {
		t.Errorf("got %+v", s)
	}
}

func TestABadKeyLeavesTheFormerInForce(t *testing.T) {
	clerk := newUpstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Clerk-Secret-Key")) })
	r := run(t, Site{Proxy: clerkproxy.Config{FrontendAPIURL: clerk.String()}})
	for _, bad := range []string{"nonsense", "sk_test_x"} {
		if err := r.tryReload(func(c *Config) { c.Sites[0].Proxy.SecretKey = bad }); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, body := keep(t, r.url).get(t, "/__clerk/v1/client"); body != secretKey {
		t.Errorf("got %q", body)
	}
}

func TestListenersChange(t *testing.T) {
	r := run(t, answering("app"), func(c *Config) { c.Listen = []string{"127.0.0.1:0"} })
	kept := keep(t, r.url)
	kept.get(t, "/")

	r.reload(t, func(c *Config) { c.Listen = []string{"localhost:0"} })
	other := "http://" + await(t, r.listening).String()
	if _, body := keep(t, other).get(t, "/"); body != "app" {
		t.Errorf("the new listener: %q", body)
	}
	waitUntilRefused(t, strings.TrimPrefix(r.url, "http://"))
	if _, body := kept.get(t, "/"); body != "app" {
		t.Errorf("the former listener's connection: %q", body)
	}

	// One that cannot be opened keeps all as it is.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = r.tryReload(func(c *Config) {
		c.Listen = []string{"127.0.0.1:0", taken.Addr().String()}
		c.Sites = []Site{answering("never")}
	})
	if err == nil || !strings.Contains(err.Error(), "the port is in use") {
		t.Errorf("got %v", err)
	}
	if _, body := keep(t, other).get(t, "/"); body != "app" {
		t.Errorf("after a failure: %q", body)
	}
	if open := r.Listeners(); len(open) != 1 || open["localhost:0"] == nil {
		t.Errorf("listens at %v", open)
	}
	if len(r.listening) > 0 {
		t.Errorf("announced %v", <-r.listening)
	}
}

func TestOnePortCannotBeListenedOnTwice(t *testing.T) {
	mine, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(mine.Addr().String())
	r := run(t, answering("app"), func(c *Config) {
		c.Listen = []string{"127.0.0.1:" + port}
		c.Inherited = map[string][]net.Listener{c.Listen[0]: {mine}}
	})
	err = r.tryReload(func(c *Config) { c.Listen = []string{":" + port} })
	if err == nil || !strings.Contains(err.Error(), "listen on :"+port+": this process has that port already, for 127.0.0.1:"+port) {
		t.Errorf("got %v", err)
	}
}

func TestInheritedSocketsAreServed(t *testing.T) {
	mine, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer spare.Close()
	r := run(t, answering("app"), func(c *Config) {
		c.Listen = []string{"systemd:web"}
		c.Inherited = map[string][]net.Listener{"systemd:web": {mine}, "systemd:admin": {spare}, "127.0.0.1:8080": {unused}}
	})
	if r.url != "http://"+mine.Addr().String() {
		t.Fatalf("listens at %s", r.url)
	}
	if _, body := keep(t, r.url).get(t, "/"); body != "app" {
		t.Errorf("got %q", body)
	}
	waitUntilRefused(t, unused.Addr().String())
	err = r.tryReload(func(c *Config) { c.Listen = []string{"systemd:web", "systemd:other"} })
	if err == nil || !strings.Contains(err.Error(), "listen on systemd:other: systemd has passed no such socket to this process, but systemd:admin;") {
		t.Errorf("got %v", err)
	}

	// What a reload that failed would have used is there for the next one.
	err = r.tryReload(func(c *Config) { c.Listen = []string{"systemd:web", "systemd:admin", "systemd:other"} })
	if err == nil {
		t.Fatal("a socket that is not there is listened on")
	}
	r.reload(t, func(c *Config) { c.Listen = []string{"systemd:web", "systemd:admin"} })
	if got := await(t, r.listening); got.String() != spare.Addr().String() {
		t.Fatalf("listens at %s", got)
	}
	if _, body := keep(t, "http://"+spare.Addr().String()).get(t, "/"); body != "app" {
		t.Errorf("got %q", body)
	}
}

func TestASocketOfSystemdThatWasGivenUpIsThereForALaterReload(t *testing.T) {
	var inherited []net.Listener
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		inherited = append(inherited, l)
	}
	web, spare := inherited[0], inherited[1].Addr().String()
	r := run(t, answering("app"), func(c *Config) {
		c.Listen = []string{"systemd:web", "systemd:spare"}
		c.Inherited = map[string][]net.Listener{"systemd": inherited, "systemd:web": {web}, "systemd:spare": {inherited[1]}}
	})
	await(t, r.listening)
	r.reload(t, func(c *Config) { c.Listen = []string{"systemd:web"} })
	const said = "not listening any more: systemd keeps the socket open, so who connects waits until it is listened on again, or its unit is stopped"
	if entries := r.log.entries(t, said); len(entries) != 1 || entries[0]["address"] != "systemd:spare" || entries[0]["level"] != "WARN" {
		t.Errorf("got %v", entries)
	}
	waiting := keep(t, "http://"+spare) // as systemd keeps it open

	r.reload(t, func(c *Config) { c.Listen = []string{"systemd:web", "systemd:spare"} })
	if _, body := waiting.get(t, "/"); body != "app" {
		t.Errorf("whoever waited: got %q", body)
	}
	if _, body := keep(t, "http://"+web.Addr().String()).get(t, "/"); body != "app" {
		t.Errorf("the other socket: got %q", body)
	}
}

func TestOneSocketOfSystemdCannotGoByTwoNames(t *testing.T) {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, answering("app"), func(c *Config) {
		c.Listen = []string{"systemd"}
		c.Inherited = map[string][]net.Listener{"systemd": {web}, "systemd:web": {web}}
	})
	err = r.tryReload(func(c *Config) { c.Listen = []string{"systemd:web"} })
	if err == nil || !strings.Contains(err.Error(), "listen on systemd:web: this process has that socket already, for systemd;") {
		t.Errorf("got %v", err)
	}
	if _, body := keep(t, "http://"+web.Addr().String()).get(t, "/"); body != "app" {
		t.Errorf("got %q", body)
	}
}

func TestAnAddressThatIsGivenUpIsNamed(t *testing.T) {
	r := run(t, answering("app"), func(c *Config) { c.Listen = []string{"127.0.0.1:0"} })
	r.reload(t, func(c *Config) { c.Listen = []string{"localhost:0"} })
	if entries := r.log.entries(t, "not listening any more"); len(entries) != 1 || entries[0]["address"] != "127.0.0.1:0" {
		t.Errorf("got %v", entries)
	}
}

func TestAKeptConnectionIsEndedByItsNextAnswer(t *testing.T) {
	r := run(t, answering("app"), drainingFor(time.Minute))
	kept := keep(t, r.url)
	if resp, _ := kept.get(t, "/"); resp.Close {
		t.Fatal("the connection is closed before the server ends")
	}
	r.stop(nil)
	waitUntilRefused(t, strings.TrimPrefix(r.url, "http://"))
	if resp, body := kept.get(t, "/"); !resp.Close || body != "app" {
		t.Errorf("got %v %q", resp.Header, body)
	}
	if _, err := kept.ReadByte(); err != io.EOF {
		t.Errorf("after the last answer: %v", err)
	}
	if err := await(t, r.stopped); err != nil {
		t.Error(err)
	}
}

func TestBeforeItDrainsItIsNotReadyForAWhile(t *testing.T) {
	stopping := make(chan struct{})
	r := run(t, answering("app"), func(c *Config) {
		c.DrainDelay = time.Hour
		c.OnStop = func() { close(stopping) }
	})
	hour := make(chan time.Time)
	r.after = func(time.Duration) <-chan time.Time { return hour }
	if !r.Ready() {
		t.Error("not ready while it serves")
	}
	r.stop(nil)
	await(t, stopping)
	until(t, "it not to be ready", func() bool { return !r.Ready() })
	if resp, body := keep(t, r.url).get(t, "/"); resp.Close || body != "app" {
		t.Errorf("in the meantime: %v %q", resp.Header, body)
	}
	close(hour)
	waitUntilRefused(t, strings.TrimPrefix(r.url, "http://"))
	if err := await(t, r.stopped); err != nil {
		t.Error(err)
	}
}

func TestAServerThatIsReplacedDoesNotWait(t *testing.T) {
	told := false
	r := run(t, answering("app"), func(c *Config) {
		c.DrainDelay = time.Hour
		c.OnStop = func() { told = true }
	})
	r.stop(ErrReplaced)
	if err := await(t, r.stopped); err != nil {
		t.Error(err)
	}
	if !told {
		t.Error("nobody was told that it ends")
	}
}
