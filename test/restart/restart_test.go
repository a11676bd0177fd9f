package restart

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

const publishableKey = "pk_live_Y2xlcmsuYXBwLmRldiQ"

// A setting is a configuration in a directory, and what it leads to.
type setting struct {
	t        *testing.T
	dir      string
	listen   string // an address of our own, free over UDP too
	fapi     string
	app      string
	mu       sync.Mutex
	rejected []string // keys that the Frontend API did not know
	keys     map[string]bool
	issuer   *issuer // nil: there is no TLS
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	s := &setting{t: t, dir: t.TempDir(), listen: freeport.Address(t), keys: map[string]bool{}}
	fapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		// Whether it is there, it is asked without a key.
		if key := r.Header.Get("Clerk-Secret-Key"); !s.keys[key] && r.URL.Path != "/v1/health" {
			s.rejected = append(s.rejected, key)
		}
		io.WriteString(w, "clerk for "+r.Header.Get("X-Forwarded-Host"))
	}))
	t.Cleanup(fapi.Close)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(100 * time.Millisecond) // as applications do
		}
		io.WriteString(w, "application for "+r.Host)
	}))
	t.Cleanup(app.Close)
	s.fapi, s.app = fapi.URL, app.URL
	s.rotate(0)
	s.configure(0)
	return s
}

func (s *setting) path(name string) string { return filepath.Join(s.dir, name) }

// replace writes a file as careful programs do: in one step.
func (s *setting) replace(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name+".new"), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.path(name+".new"), s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// rotate writes the n-th secret key.
func (s *setting) rotate(n int) {
	key := fmt.Sprintf("sk_live_%d", n)
	s.mu.Lock()
	s.keys[key] = true
	s.mu.Unlock()
	s.replace("app.key", key+"\n")
}

// configure writes the n-th configuration: one site stays the same, one changes
// each time, and one comes and goes.
func (s *setting) configure(n int) {
	more := ""
	if n%2 == 1 {
		more = fmt.Sprintf(site, "blog", "blog.dev", s.fapi, s.app, 30)
	}
	tls := ""
	if s.issuer != nil {
		tls = "http_listen: localhost:0\nhttp3: true\ntls:\n  certificates:\n    - {cert: app.pem, key: app.pem}\n    - {cert: shop.pem, key: shop.pem}\n"
	}
	s.replace("clerk-proxy.yaml", "listen: "+s.listen+"\n"+tls+"watch_interval: 50ms\nsites:\n"+
		fmt.Sprintf(site, "app", "app.dev", s.fapi, s.app, 30)+
		fmt.Sprintf(site, "shop", "shop.dev", s.fapi, s.app, 30+n)+more)
}

const site = `  - name: %s
    hosts: %s
    publishable_key: ` + publishableKey + `
    secret_key_file: app.key
    frontend_api_url: %s
    app: %s
    app_timeout: %ds
`

func (s *setting) serve(flags ...string) *process {
	s.t.Helper()
	return start(s.t, exec.Command(clerkProxy, append([]string{"serve", "--config", s.path("clerk-proxy.yaml")}, flags...)...))
}

// secure has the server do TLS, with the first certificates.
func (s *setting) secure() {
	s.issuer = newIssuer(s.t)
	s.renew(0)
	s.configure(0)
}

// renew writes the n-th certificates.
func (s *setting) renew(n int) {
	s.replace("app.pem", s.issuer.issue(100+n, "app.dev"))
	s.replace("shop.pem", s.issuer.issue(200+n, "shop.dev"))
}

var visits = []visit{
	{host: "app.dev", path: "/__clerk/v1/client", want: "clerk for app.dev"},
	{host: "app.dev", path: "/page", want: "application for app.dev"},
	{host: "shop.dev", path: "/__clerk/v1/client", want: "clerk for shop.dev"},
	{host: "shop.dev", path: "/slow", want: "application for shop.dev"},
}

// plainVisits are those by plain HTTP to a server that does TLS: redirected, or
// served to a proxy in front.
var plainVisits = []visit{
	{host: "app.dev", path: "/page?x", want: "https://app.dev/page?x"},
	{host: "shop.dev", path: "/__clerk/v1/client", want: "https://shop.dev/__clerk/v1/client"},
	{host: "app.dev", path: "/__clerk/v1/client", want: "clerk for app.dev", header: "X-Forwarded-Proto: https\r\n"},
	{host: "shop.dev", path: "/slow", want: "application for shop.dev", header: "X-Forwarded-Proto: https\r\n"},
}

// TestNoRequestFails reloads and restarts a process while clients that never try
// twice make more than ten thousand requests.
func TestNoRequestFails(t *testing.T) {
	s := newSetting(t)
	p := s.serve("--handover", s.path("handover.sock"))
	s.changeUnder(p, begin(t, plainly(p.says(`msg=listening address=(\S+)`, 1)), visits))
}

// TestNoRequestFailsWithTLS is the same with a server that does TLS, with plain
// HTTP, HTTP/1.1 over TLS, HTTP/2 and HTTP/3 at once, and with certificates that change
// too.
func TestNoRequestFailsWithTLS(t *testing.T) {
	s := newSetting(t)
	s.secure()
	p := s.serve("--handover", s.path("handover.sock"))
	secure, plain := p.says(`msg=listening address=(\S+) .*serves="https and http/3"`, 1), p.says(`msg=listening address=(\S+) .*serves="redirects to https"`, 1)
	witnesses := s.issuer.trust()
	s.changeUnder(p,
		begin(t, plainly(plain), plainVisits),
		begin(t, witnesses.securely(secure), visits),
		begin(t, witnesses.by2(secure), visits),
		begin(t, witnesses.by3(secure), visits))
	if n := len(witnesses.seen); n < 20 { // there are 22
		t.Errorf("%d certificates were seen", n)
	}
}

var requests = flag.Int("requests", 10_000, "how many requests are made at the least while a server changes")

// changeUnder changes and restarts a process that is under loads, while these have
// all the answers together.
func (s *setting) changeUnder(p *process, loads ...*load) {
	t := s.t
	const restarts, reloads = 5, 6
	each := int64(*requests / len(loads))
	n := 0
	for range restarts {
		for i := range reloads {
			n++
			for _, l := range loads {
				l.until(int64(n) * each / (restarts * reloads))
			}
			said := `msg="?reloaded`
			switch {
			case i%3 == 2: // a mistake changes nothing
				s.replace("clerk-proxy.yaml", "sites: [")
				p.signal(syscall.SIGHUP)
				p.says(`level=ERROR msg="not reloaded`, 1+i/3)
				s.configure(n)
			case i%2 == 0:
				s.configure(n)
				if s.issuer != nil {
					s.renew(n)
				}
				p.signal(syscall.SIGHUP)
			default: // noticed without a signal
				s.rotate(n)
			}
			p.says(said, i+1)
		}
		next := s.serve("--handover", s.path("handover.sock"))
		next.says(`msg="taking over"`, 1)
		next.says(`msg=listening`, 1)
		p.ends()
		p = next
	}
	for i, l := range loads {
		l.until(each)
		l.end()
		t.Logf("load %d: %d requests, %d failed, %d restarts, %d reloads", i, l.answers.Load(), l.failed.Load(), restarts, n)
	}
	if len(s.rejected) > 0 {
		t.Errorf("the Frontend API was given %q", s.rejected)
	}
	p.signal(syscall.SIGTERM)
	p.ends()
	if _, err := os.Lstat(s.path("handover.sock")); !os.IsNotExist(err) {
		t.Errorf("the handover's socket is left behind: %v", err)
	}
}

// TestASuccessorThatCannotStartLeavesTheFormerServing: the configuration is wrong,
// or it cannot listen.
func TestASuccessorThatCannotStartLeavesTheFormerServing(t *testing.T) {
	s := newSetting(t)
	sock := s.path("handover.sock")
	p := s.serve("--handover", sock)
	address := p.says(`msg=listening address=(\S+)`, 1)
	l := begin(t, plainly(address), visits)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, flags := range [][]string{
		{"--drain-timeout", "0s"},
		{"--listen", "127.0.0.1:0," + taken.Addr().String()},
	} {
		next := s.serve(append(flags, "--handover", sock)...)
		if err := next.end(); err == nil {
			t.Errorf("%v: it did start", flags)
		}
	}
	select {
	case <-p.ended:
		t.Error("the former process has ended")
	default:
	}
	l.end()
	if l.failed.Load() > 0 || l.answers.Load() == 0 {
		t.Errorf("%d requests, %d failed", l.answers.Load(), l.failed.Load())
	}

	// Killed, it leaves its socket behind, which is in nobody's way.
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.end()
	next := s.serve("--handover", sock, "--listen", address)
	if got := next.says(`msg=listening address=(\S+)`, 1); got != address {
		t.Errorf("listens at %s", got)
	}
	again := s.serve("--handover", sock, "--listen", address)
	again.says(`msg="taking over"`, 1)
	next.ends()
}

// TestSystemd plays systemd: it passes a socket, which it keeps, and is told how
// the process is.
func TestSystemd(t *testing.T) {
	s := newSetting(t)
	held, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	file, err := held.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path("notify.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	told := func(want string) {
		t.Helper()
		if err := notify.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1024)
		n, err := notify.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q: %v", want, err)
		}
		if got := string(buf[:n]); !strings.HasPrefix(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	run := func() *process {
		// LISTEN_PID is the process's own, which nobody knows before.
		command := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", clerkProxy,
			"serve", "--config", s.path("clerk-proxy.yaml"), "--listen", "systemd:web")
		command.Env = []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=web", "NOTIFY_SOCKET=" + s.path("notify.sock")}
		command.ExtraFiles = []*os.File{file}
		return start(t, command)
	}

	p := run()
	told("READY=1")
	if got := p.says(`msg=listening address=(\S+)`, 1); got != held.Addr().String() {
		t.Fatalf("listens at %s", got)
	}
	s.configure(1)
	p.signal(syscall.SIGHUP)
	told("RELOADING=1\nMONOTONIC_USEC=")
	told("READY=1")

	// Clients go on through a restart; what comes in between waits.
	fast := []visit{visits[0], visits[1], visits[2]}
	l := begin(t, plainly(held.Addr().String()), fast)
	for i := range 4 {
		l.until(int64(i+1) * 1000)
		p.signal(syscall.SIGTERM)
		told("STOPPING=1")
		p.ends()
		p = run()
		told("READY=1")
	}
	l.until(5000)
	l.end()
	t.Logf("%d requests, %d failed", l.answers.Load(), l.failed.Load())
	p.signal(syscall.SIGTERM)
	told("STOPPING=1")
	p.ends()
}
