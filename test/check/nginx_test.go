package check

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// documented is the nginx of docs/checking.md.
var documented = regexp.MustCompile("(?s)```nginx\n(.*?)```")

// nginxProxy is that one, as a template.
func nginxProxy(t *testing.T) string {
	t.Helper()
	guide, err := os.ReadFile("../../docs/checking.md")
	if err != nil {
		t.Fatal(err)
	}
	found := documented.FindSubmatch(guide)
	if found == nil {
		t.Fatal("docs/checking.md shows no nginx")
	}
	return replacing(t, string(found[1]),
		"https://app.dev/__clerk", "{proxy-url}",
		"https://frontend-api.clerk.dev/", "{fapi}/",
		"/etc/ssl/certs/ca-certificates.crt", "{ca}",
		"sk_live_…", "{secret-key}",
		"/__clerk/", "{path}/")
}

// nginxApp is the application beside it.
const nginxApp = `
    location / {
      default_type text/html;
      return 200 "<!doctype html><title>Acme\nStore</title>";
    }
`

// replacing spoils a configuration: pairs of what is replaced and by what.
func replacing(t *testing.T, config string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(config, pairs[i]) {
			t.Fatalf("the configuration has no %q", pairs[i])
		}
		config = strings.ReplaceAll(config, pairs[i], pairs[i+1])
	}
	return config
}

// nginx runs nginx until the test ends, with the locations of a server at a free
// port of an address, and returns the proxy URL.
func (s *site) nginx(listen, locations string) string {
	s.t.Helper()
	return s.nginxServer("http", listen, "", locations)
}

// nginxServer does the same with further lines for the server and the http block.
func (s *site) nginxServer(scheme, listen, lines, locations string) string {
	s.t.Helper()
	// nginx inherits the open socket, as from an older nginx: the port is its
	// own, and whoever connects before it is ready waits.
	listener, err := net.Listen("tcp", listen+":0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		s.t.Fatal(err)
	}
	defer socket.Close()

	dir := s.t.TempDir()
	proxyURL := scheme + "://" + listener.Addr().String() + proxyPath
	ca := filepath.Join(dir, "ca.pem")
	s.write(ca, s.emu.CAPEM())
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the directory is root's
	}
	listen = listener.Addr().String()
	if scheme == "https" {
		listen += " ssl"
	}
	config := strings.NewReplacer("{locations}", locations, "{lines}", lines).Replace(nginxConfig)
	config = strings.NewReplacer(
		"{user}", user, "{dir}", dir, "{listen}", listen, "{ca}", ca, "{path}", proxyPath,
		"{fapi}", s.emu.FrontendAPI, "{proxy-url}", proxyURL, "{secret-key}", s.emu.SecretKey,
	).Replace(config)
	s.write(filepath.Join(dir, "nginx.conf"), []byte(config))

	var log bytes.Buffer
	command := exec.Command(nginxPath, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	command.Env = append(os.Environ(), "NGINX=3;")
	command.ExtraFiles = []*os.File{socket}
	command.Stderr = &log
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }() // nginx ends below
	s.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		defer time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() }).Stop()
		err := <-ended
		if s.t.Failed() {
			s.t.Logf("nginx: %v\n%s", err, log.Bytes())
		}
	})
	return proxyURL
}

func (s *site) write(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

const nginxConfig = `
{user}
daemon off;
worker_processes 1;
pid {dir}/pid;
events { worker_connections 256; }
http {
  access_log off;
  error_log stderr error;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  proxy_cache_path {dir}/cache keys_zone=cache:1m;
  proxy_ssl_name frontend-api.clerk.dev;  # which is at an address here
  server {
    listen {listen};
    {lines}
    {locations}
  }
}
`
