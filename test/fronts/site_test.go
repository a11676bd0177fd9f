package fronts

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/emulator"
)

const proxyURL = "https://app.dev/__clerk"

// visitor is the address of whoever asks. The front's is another one.
const visitor = "127.0.0.2"

// patience is how long something may take that happens at once.
const patience = time.Minute

// site is all that is behind a front: the real binary, an emulated Clerk, and an
// application.
type site struct {
	t           *testing.T
	dir         string
	server      string // host:port of clerk-proxy
	admin       string // and of its admin pages
	certificate string // file with the front's certificate and key
	roots       *x509.CertPool
	clerkJS     []byte

	mu    sync.Mutex
	asked []emulator.Request
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), clerkJS: bytes.Repeat([]byte("globalThis.Clerk=function(){};"), 5000)}
	for name, content := range map[string]string{"package.json": `{"version": "6.40.0"}`, "dist/clerk.browser.js": string(s.clerkJS)} {
		s.write(filepath.Join("node_modules/@clerk/clerk-js", name), content)
	}
	clerk, err := emulator.Start(emulator.Config{Domain: "app.dev", NPMDir: s.dir, OnRequest: s.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(clerk.Close)
	if err := clerk.RegisterProxyURL(proxyURL); err != nil {
		t.Fatal(err)
	}
	app := httptest.NewServer(http.HandlerFunc(application))
	t.Cleanup(app.Close)
	s.write("clerk.pem", string(clerk.CAPEM()))
	s.issue()
	s.serve(clerk, app.URL)
	return s
}

// application says what a request looks like that reaches it, sets two cookies,
// and speaks WebSocket as far as an echo goes.
func application(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "websocket" {
		conn, client, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		accepted := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 §4.2.2
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(accepted[:]))
		_, _ = io.Copy(conn, client)
		return
	}
	n, _ := io.Copy(io.Discard, r.Body)
	w.Header().Add("Set-Cookie", "a=1; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT")
	w.Header().Add("Set-Cookie", "b=2; Path=/")
	_, _ = io.WriteString(w, strings.Join([]string{
		r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-For"), big.NewInt(n).String(),
	}, " "))
}

// serve starts the binary with nothing but what the guide says.
func (s *site) serve(clerk *emulator.Server, app string) {
	s.t.Helper()
	command := exec.Command(clerkProxy, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--app", app, "--host", "app.dev", "--fapi-ca", filepath.Join(s.dir, "clerk.pem"))
	for _, variable := range os.Environ() {
		if !strings.Contains(variable, "CLERK_") {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, clerk.Env()...)
	said, err := command.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	var log bytes.Buffer
	listening := make(chan [2]string, 1)
	ended := make(chan struct{})
	go func() { // the clean-up ends it
		defer close(ended)
		listens, admin := regexp.MustCompile(`msg=listening address=(\S+) `), regexp.MustCompile(`msg="admin pages" url=http://([^/]+)/`)
		line := make([]byte, 4<<10)
		told := false
		for {
			n, err := said.Read(line)
			log.Write(line[:n])
			at, pages := listens.FindStringSubmatch(log.String()), admin.FindStringSubmatch(log.String())
			if at != nil && pages != nil && !told { // in either order
				told = true
				listening <- [2]string{at[1], pages[1]}
			}
			if err != nil {
				_ = command.Wait()
				return
			}
		}
	}()
	s.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGKILL)
		<-ended
		if s.t.Failed() {
			s.t.Logf("clerk-proxy said:\n%s", log.Bytes())
		}
	})
	select {
	case addresses := <-listening:
		s.server, s.admin = addresses[0], addresses[1]
	case <-ended:
		s.t.Fatal("clerk-proxy ended")
	case <-time.After(patience):
		s.t.Fatal("clerk-proxy does not serve")
	}
	// It is ready once Clerk has answered.
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://"+s.server+"/__clerk/v1/health", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = "app.dev"
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
}

func (s *site) note(r emulator.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
}

// last is what Clerk was last asked at a path.
func (s *site) last(path string) emulator.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.asked) - 1; i >= 0; i-- {
		if s.asked[i].Path == path {
			return s.asked[i]
		}
	}
	s.t.Errorf("Clerk was not asked for %s", path)
	return emulator.Request{}
}

func (s *site) write(name, content string) {
	s.t.Helper()
	name = filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// issue makes a certificate for app.dev.
func (s *site) issue() {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		DNSNames:              []string{"app.dev"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(content)
	content = append(content, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	s.write("app.dev.pem", string(content))
	s.certificate = filepath.Join(s.dir, "app.dev.pem")
}

// dial connects to a front as the visitor.
func (s *site) dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(visitor)}}
	return dialer.DialContext(ctx, "tcp", address)
}

// browser is a client that finds app.dev at a front.
func (s *site) browser(address string, http2 bool) *http.Transport {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.dial(ctx, address)
		},
		TLSClientConfig:    &tls.Config{RootCAs: s.roots},
		DisableCompression: true,
		Protocols:          new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	s.t.Cleanup(transport.CloseIdleConnections)
	return transport
}
