package conformance

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/front"
	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// publicHost is the host that clients address.
const publicHost = "app.example.com"

// The keys of an instance that does not exist: the publishable ones are base64
// of clerk.example.com$.
const (
	liveKey    = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k"
	liveSecret = "sk_live_conformance"
	testKey    = "pk_test_Y2xlcmsuZXhhbXBsZS5jb20k"
	testSecret = "sk_test_conformance"
)

// A mount is one way of configuring the proxies.
type mount struct {
	Name string `json:"name"`
	// Path is the proxy's path, as a user would configure it.
	Path           string `json:"path"`
	PublishableKey string `json:"publishableKey"`
	SecretKey      string `json:"secretKey"`
	// SomeHosts lets the proxy decide by URL, and say yes to publicHost only.
	SomeHosts bool `json:"someHosts"`
	// Direct mounts the handler itself, without a middleware in front that
	// passes on what does not match. @clerk/express has no such thing.
	Direct bool `json:"direct"`

	// upstream is the name of the upstream in front of which it stands.
	upstream string
	// as is the name of the mount whose yardsticks this one is compared with,
	// when it has none of its own: the yardsticks know no such setting.
	as string
	// configure sets what the yardsticks have no setting for.
	configure func(*clerkproxy.Config)
}

// upstreams are the Frontend API origins, each with an upstream of its own.
// {upstream} is its host and port.
var upstreams = map[string]string{
	"root": "http://{upstream}",
	"base": "http://{upstream}/fapi/base//",
	// Nobody listens there: it is below the ports that are given out, and not
	// among those that fetch refuses by itself.
	"refused": "http://127.0.0.1:2",
	// Cases that take their time have these, so that no other waits for them.
	"slow":    "http://{upstream}",
	"stalled": "http://{upstream}",
	// What a torn request leaves behind may come late, and meets no other case.
	"torn": "http://{upstream}",
}

var mounts = []mount{
	{Name: "default", upstream: "root"},
	{Name: "nested", upstream: "root", Path: "/api/clerk//"},
	{Name: "escaped", upstream: "root", Path: "/auth%2Fclerk"},
	{Name: "some hosts", upstream: "root", SomeHosts: true},
	{Name: "development", upstream: "root", PublishableKey: testKey, SecretKey: testSecret},
	{Name: "direct", upstream: "root", Direct: true},
	{Name: "base path", upstream: "base", as: "default"},
	{Name: "refused", upstream: "refused", as: "default"},
	{Name: "nobody trusted", upstream: "root", as: "default", configure: func(c *clerkproxy.Config) {
		c.TrustedProxies = []netip.Prefix{}
	}},
	{Name: "Cloudflare in front", upstream: "root", as: "default", configure: func(c *clerkproxy.Config) {
		c.ClientIPHeader = "CF-Connecting-IP"
	}},
	{Name: "CloudFront in front", upstream: "root", as: "default", configure: func(c *clerkproxy.Config) {
		c.ClientIPHeader = "CloudFront-Viewer-Address"
	}},
	{Name: "nginx in front", upstream: "root", as: "default", configure: func(c *clerkproxy.Config) {
		c.ClientIPHeader = "X-Real-IP"
	}},
	{Name: "absolute proxy URL", upstream: "root", as: "default", configure: func(c *clerkproxy.Config) {
		c.ProxyURL = "https://www.example.com/__clerk/"
	}},
	{Name: "known hosts", upstream: "root", as: "default", configure: func(c *clerkproxy.Config) {
		c.Hosts = []string{publicHost, "*.example.net"}
	}},
	{Name: "slow", upstream: "slow", as: "default"},
	{Name: "torn", upstream: "torn", as: "default"},
	{Name: "impatient", upstream: "stalled", as: "default", configure: func(c *clerkproxy.Config) {
		c.ResponseHeaderTimeout = 300 * time.Millisecond
	}},
	{Name: "impatient in the body", upstream: "stalled", as: "default", configure: func(c *clerkproxy.Config) {
		c.IdleTimeout = 800 * time.Millisecond
	}},
}

func (m mount) withDefaults() mount {
	if m.Path == "" {
		m.Path = "/__clerk"
	}
	if m.PublishableKey == "" {
		m.PublishableKey, m.SecretKey = liveKey, liveSecret
	}
	return m
}

func mountNamed(name string) (mount, bool) {
	if name == "" {
		name = "default"
	}
	for _, m := range mounts {
		if m.Name == name {
			return m.withDefaults(), true
		}
	}
	return mount{}, false
}

// yardstick is the name of the mount that the yardsticks have for this one.
func (m mount) yardstick() string {
	if m.as != "" {
		return m.as
	}
	return m.Name
}

// startOurs serves this project's proxy, in net/http's server and behind the
// front of clerk-proxy, and returns the addresses.
func startOurs(t *testing.T, m mount, u *upstream, plain *atomic.Int64) (standard, lean string) {
	t.Helper()
	handler := newOurs(t, m, u)
	l := listen(t)
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(l) }() // until Close
	t.Cleanup(func() { _ = server.Close() })

	handler = newOurs(t, m, u)
	config := front.Config{Handler: handler, Logger: slog.New(slog.DiscardHandler)}
	if exchanges, ok := handler.(wire.Handler); ok {
		config.Exchanges = counted{exchanges, plain}
	}
	fl := listen(t)
	f := front.New(config)
	go func() { _ = f.Serve(fl, nil) }() // until Close
	t.Cleanup(func() { _ = f.Close() })
	return l.Addr().String(), fl.Addr().String()
}

// counted counts the exchanges that a handler takes as they are.
type counted struct {
	wire.Handler
	n *atomic.Int64
}

func (c counted) ServeExchange(x *wire.Exchange) bool {
	taken := c.Handler.ServeExchange(x)
	if taken {
		c.n.Add(1)
	}
	return taken
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newOurs(t *testing.T, m mount, u *upstream) http.Handler {
	t.Helper()
	config := clerkproxy.Config{
		PublishableKey: m.PublishableKey,
		SecretKey:      m.SecretKey,
		ProxyURL:       m.Path,
		FrontendAPIURL: u.names.Replace(upstreams[m.upstream]),
		Logger:         slog.New(slog.DiscardHandler),
	}
	if m.SomeHosts {
		config.Enabled = func(u *url.URL) bool { return u.Host == publicHost }
	}
	if m.configure != nil {
		m.configure(&config)
	}
	proxy, err := clerkproxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	handler := proxy.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "app")
	}))
	if m.Direct {
		handler = proxy
	}
	return handler
}

// yardsticks are the addresses of Clerk's proxies.
type yardsticks struct {
	Node string
	// Ports are by upstream, kind of proxy and mount.
	Ports map[string]map[subject]map[string]int
}

func (y *yardsticks) addr(upstream string, who subject, mount string) (string, bool) {
	port, ok := y.Ports[upstream][who][mount]
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), ok
}

// startYardsticks starts Clerk's proxies, all in one Node process.
func startYardsticks(t *testing.T, running map[string]*upstream) *yardsticks {
	t.Helper()
	if _, err := os.Stat(filepath.FromSlash("../../npm/node_modules/@clerk/express/package.json")); err != nil {
		t.Fatal("Clerk's npm packages are not installed; run: make npm")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("Node.js, which runs Clerk's npm packages, is not installed")
	}
	var config struct {
		Upstreams  map[string]string `json:"upstreams"`
		Mounts     []mount           `json:"mounts"`
		PublicHost string            `json:"publicHost"`
	}
	config.PublicHost = publicHost
	config.Upstreams = map[string]string{}
	for name, origin := range upstreams {
		config.Upstreams[name] = running[name].names.Replace(origin)
	}
	for _, m := range mounts {
		if m.as == "" {
			config.Mounts = append(config.Mounts, m.withDefaults())
		}
	}
	argument, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), node, filepath.Join("testdata", "yardstick.cjs"), string(argument))
	// None of the developer's own CLERK_ variables, and no word to Clerk.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_ENV=production", "CLERK_TELEMETRY_DISABLED=1"}
	// Not our own standard error itself: Node makes what it inherits
	// non-blocking, and go test then loses lines.
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		if complaints.Len() > 0 {
			t.Logf("the yardsticks say: %s", complaints.String())
		}
	})
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop() // which ends their output
	var y yardsticks
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &y)
	}
	if err != nil {
		t.Fatalf("the yardsticks did not start: %v", err)
	}
	return &y
}
