package fronts

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

// fenced are the code blocks of a Markdown page, with their languages.
var fenced = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// documented is what the guide shows of a front, changed by pairs of what is
// replaced and by what: names of files and ports are others here.
func documented(t *testing.T, language string, pairs ...string) string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(guide), "\n## Behind another front\n")
	for _, block := range fenced.FindAllStringSubmatch(section, -1) {
		if block[1] != language {
			continue
		}
		config := block[2]
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(config, pairs[i]) {
				t.Fatalf("docs/operating.md shows no %q for %s", pairs[i], language)
			}
			config = strings.ReplaceAll(config, pairs[i], pairs[i+1])
		}
		return config
	}
	t.Fatalf("docs/operating.md shows no %s", language)
	return ""
}

// A front is a program in front of clerk-proxy.
type front struct {
	name  string
	start func(s *site) (address string)
}

var fronts = []front{
	{"nginx", nginx},
	{"HAProxy", haproxy},
	{"Caddy", caddy},
}

// nginx inherits an open socket, as from an older nginx: whoever connects before
// it is ready waits.
func nginx(s *site) string {
	socket, address := listen(s.t)
	config := documented(s.t, "nginx",
		"listen 443 ssl", "listen "+address+" ssl",
		"127.0.0.1:8080", s.server,
		"/etc/ssl/app.dev.pem", s.certificate,
		"/etc/ssl/app.dev.key", s.certificate)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the directory is root's
	}
	s.write("nginx.conf", strings.NewReplacer("{user}", user, "{config}", config).Replace(`
{user}
daemon off;
worker_processes 1;
pid pid;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  {config}
}
`))
	command := exec.Command(nginxPath, "-p", s.dir, "-c", "nginx.conf", "-e", "stderr")
	command.Env = append(os.Environ(), "NGINX=3;")
	command.ExtraFiles = []*os.File{socket}
	s.run(command)
	return address
}

// haproxy is given an open socket too.
func haproxy(s *site) string {
	socket, address := listen(s.t)
	_, admin, _ := net.SplitHostPort(s.admin)
	s.write("haproxy.cfg", "global\n    log stderr format raw local0 notice\n"+documented(s.t, "haproxy",
		"bind :443", "bind fd@3",
		"/etc/haproxy/app.dev.pem", s.certificate,
		"127.0.0.1:8080", s.server,
		"check port 25375", "check port "+admin)+"\n")
	command := exec.Command(haproxyPath, "-db", "-f", filepath.Join(s.dir, "haproxy.cfg"))
	command.ExtraFiles = []*os.File{socket}
	s.run(command)
	return address
}

// caddy tells when it is ready, as it tells systemd.
func caddy(s *site) string {
	address := freeport.Address(s.t) // it takes no open socket
	_, port, _ := net.SplitHostPort(address)
	site := documented(s.t, "caddy",
		"app.dev {", fmt.Sprintf("app.dev:%s {\n    bind 127.0.0.1\n    tls %s %[2]s", port, s.certificate),
		"127.0.0.1:8080", s.server)
	s.write("Caddyfile", "{\n    admin off\n    auto_https disable_redirects\n    servers {\n        protocols h1 h2\n    }\n}\n"+site)
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.dir, "notify"), Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ready.Close() })
	command := exec.Command(caddyPath, "run", "--config", filepath.Join(s.dir, "Caddyfile"))
	command.Env = append(os.Environ(), "NOTIFY_SOCKET="+ready.LocalAddr().String(), "HOME="+s.dir, "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	ended := s.run(command)
	go func() { <-ended; ready.Close() }() // the clean-up ends it, if nothing does before
	if err := ready.SetReadDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	message := make([]byte, 4<<10)
	for {
		n, err := ready.Read(message)
		if err != nil {
			s.t.Fatalf("caddy does not become ready: %v", err)
		}
		if bytes.Contains(message[:n], []byte("READY=1")) {
			return address
		}
	}
}

// listen opens a socket at a free port, for another process.
func listen(t *testing.T) (*os.File, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket, listener.Addr().String()
}

// run runs a front until the test ends.
func (s *site) run(command *exec.Cmd) (ended <-chan struct{}) {
	s.t.Helper()
	var said bytes.Buffer
	command.Dir, command.Stdout, command.Stderr = s.dir, &said, &said
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	over := make(chan struct{})
	var err error
	go func() { err = command.Wait(); close(over) }() // the clean-up ends it
	s.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		defer time.AfterFunc(patience, func() { _ = command.Process.Kill() }).Stop()
		<-over
		if s.t.Failed() {
			s.t.Logf("%s: %v\n%s", command.Path, err, said.Bytes())
		}
	})
	return over
}
