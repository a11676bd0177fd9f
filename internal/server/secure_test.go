package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
)

// A pair is a certificate that trusts itself, in files.
type pair struct {
	certificate.Pair
	roots *x509.CertPool
}

func newPair(t *testing.T, names ...string) pair {
	t.Helper()
	dir := t.TempDir()
	p := pair{Pair: certificate.Pair{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
	p.renew(t, names...)
	return p
}

// renew puts another certificate in place.
func (p *pair) renew(t *testing.T, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{p.Cert: {Type: "CERTIFICATE", Bytes: der}, p.Key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.roots = x509.NewCertPool()
	p.roots.AddCert(cert)
}

// secured has the server speak HTTPS at its first address, and redirect at its
// second.
func secured(p pair) func(*Config) {
	return func(c *Config) {
		c.TLS = &certificate.Config{Files: []certificate.Pair{p.Pair}}
		c.HTTPListen = []string{"localhost:0"}
	}
}

// client speaks HTTP/2 or HTTP/1.1 with whoever has the address, under any name.
func (p *pair) client(t *testing.T, address string, protocol string) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: p.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
	transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func fetch(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	return whole(t, resp, err)
}

func TestHTTPS(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Clerk-Proxy-Url"), " ", r.Header.Get("X-Forwarded-Proto"))
	})
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("Strict-Transport-Security", "max-age=7; includeSubDomains")
		}
		fmt.Fprint(w, r.Host, " ", r.Header.Get("X-Forwarded-Proto"))
	})
	p := newPair(t, "app.dev")
	site := Site{AppURL: app, Hosts: []string{"app.dev"}}
	site.Proxy.FrontendAPIURL = fapi.String()
	r := run(t, site, secured(p), func(c *Config) { c.HSTS = time.Hour })
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			client := p.client(t, strings.TrimPrefix(r.url, "http://"), protocol)
			for path, want := range map[string]struct{ body, hsts string }{
				"/__clerk/v1/client": {"https://app.dev/__clerk https", "max-age=3600"},
				"/page":              {"app.dev https", "max-age=3600"},
				"/own":               {"app.dev https", "max-age=7; includeSubDomains"},
			} {
				resp, body := fetch(t, client, "https://app.dev"+path)
				if got := resp.Header["Strict-Transport-Security"]; resp.Proto != protocol || body != want.body || len(got) != 1 || got[0] != want.hsts {
					t.Errorf("%s: got %s %q %q", path, resp.Proto, body, got)
				}
			}
		})
	}
}

// What the front does not answer by itself goes on in net/http's server, over the
// same TLS.
func TestWhatIsNotPlainOverTLS(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoUpgrade(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, len(body), " ", r.Header.Get("X-Forwarded-Proto"))
	})
	p := newPair(t, "app.dev")
	r := run(t, Site{AppURL: app, Hosts: []string{"app.dev"}}, secured(p), func(c *Config) { c.HSTS = time.Hour })
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "http://"), &tls.Config{RootCAs: p.roots, ServerName: "app.dev"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 100_000))
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "100000 https" || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("got %q, %v", body, resp.Header)
	}
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: app.dev\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if resp, err = http.ReadResponse(reader, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := reader.ReadString('\n'); line != "hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestBrowsersAreToldNothingUnlessAsked(t *testing.T) {
	p := newPair(t, "app.dev")
	r := run(t, answering("app", "app.dev"), secured(p))
	resp, _ := fetch(t, p.client(t, strings.TrimPrefix(r.url, "http://"), "HTTP/2.0"), "https://app.dev/")
	if got := resp.Header["Strict-Transport-Security"]; got != nil {
		t.Errorf("got %q", got)
	}
}

// askPlainly sends a request as it is.
func askPlainly(t *testing.T, address, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	return whole(t, resp, err)
}

func TestPlainHTTPIsRedirected(t *testing.T) {
	p := newPair(t, "app.dev", "cert.example")
	r := run(t, answering("app", "app.dev", "*.app.dev"), secured(p), trusting([]netip.Prefix{}), func(c *Config) { c.HSTS = time.Hour })
	plainly, port := await(t, r.listening).String(), strings.TrimPrefix(r.url, "http://127.0.0.1")
	tests := []struct {
		name, request, want string // the Location, or the status
	}{
		{"by port 80, to port 443", "GET /page HTTP/1.1\r\nHost: app.dev\r\n\r\n", "https://app.dev/page"},
		{"by another port, to the server's own", "GET /page HTTP/1.1\r\nHost: app.dev:8080\r\n\r\n", "https://app.dev" + port + "/page"},
		{"path and query as they are", "GET /a%2Fb/../c//d;e?x=%zz&y=+ HTTP/1.1\r\nHost: App.dev\r\n\r\n", "https://app.dev/a%2Fb/../c//d;e?x=%zz&y=+"},
		{"an empty query", "GET /? HTTP/1.1\r\nHost: app.dev\r\n\r\n", "https://app.dev/?"},
		{"what looks like another host", "GET //evil.example/ HTTP/1.1\r\nHost: app.dev\r\n\r\n", "https://app.dev//evil.example/"},
		{"Clerk's path", "POST /__clerk/v1/client HTTP/1.1\r\nHost: app.dev\r\nContent-Length: 1\r\n\r\nx", "https://app.dev/__clerk/v1/client"},
		{"below a wildcard", "GET / HTTP/1.1\r\nHost: www.app.dev\r\n\r\n", "https://www.app.dev/"},
		{"an absolute target", "GET http://app.dev/page?x HTTP/1.1\r\nHost: app.dev\r\n\r\n", "https://app.dev/page?x"},
		{"an absolute target without a path", "GET http://app.dev HTTP/1.1\r\nHost: app.dev\r\n\r\n", "https://app.dev/"},
		{"an absolute target with a query alone", "GET http://app.dev?x HTTP/1.1\r\nHost: app.dev\r\n\r\n", "https://app.dev/?x"},
		{"an invented host", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"},
		{"an invented host in the target", "GET http://evil.example/ HTTP/1.1\r\nHost: app.dev\r\n\r\n", "421"},
		{"a stranger's X-Forwarded-Host", "GET / HTTP/1.1\r\nHost: app.dev\r\nX-Forwarded-Host: evil.example\r\n\r\n", "https://app.dev/"},
		{"a stranger's X-Forwarded-Proto", "GET / HTTP/1.1\r\nHost: app.dev\r\nX-Forwarded-Proto: https\r\n\r\n", "https://app.dev/"},
		{"a host that a certificate has and no site", "GET / HTTP/1.1\r\nHost: cert.example\r\n\r\n", "421"},
		{"a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
		{"no host", "GET / HTTP/1.0\r\n\r\n", "400"},
		{"no path", "OPTIONS * HTTP/1.1\r\nHost: app.dev\r\n\r\n", "200"}, // net/http's own,
		{"a tunnel", "CONNECT app.dev:443 HTTP/1.1\r\nHost: app.dev:443\r\n\r\n", "400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := askPlainly(t, plainly, tt.request)
			got := resp.Header.Get("Location")
			if got == "" {
				got = fmt.Sprint(resp.StatusCode)
			}
			if got != tt.want || resp.Header.Get("Location") != "" && resp.StatusCode != http.StatusPermanentRedirect {
				t.Errorf("got %s %s", resp.Status, got)
			}
			if body == "app" || resp.Header.Get("Strict-Transport-Security") != "" {
				t.Errorf("got %q %v", body, resp.Header)
			}
		})
	}
}

func TestWhereAHostHasHTTPS(t *testing.T) {
	p := newPair(t, "cert.example")
	tests := []struct {
		name  string
		hosts []string // of the site; none: it takes all
		port  int32    // of the server
		host  string
		want  string // empty: nowhere
	}{
		{"the usual port", []string{"app.dev"}, 443, "app.dev", "app.dev"},
		{"the usual port, by an unusual one", []string{"app.dev"}, 443, "app.dev:8080", "app.dev"},
		{"the usual port leads to the server's", []string{"app.dev"}, 8443, "app.dev", "app.dev"},
		{"the server's port", []string{"app.dev"}, 8443, "app.dev:8080", "app.dev:8443"},
		{"a site that has but the server's port", []string{"app.dev:8443"}, 8443, "app.dev", "app.dev:8443"},
		{"a site that has but the usual port", []string{"app.dev:443"}, 8443, "app.dev:8080", "app.dev"},
		{"a site that has another port", []string{"app.dev:9443"}, 8443, "app.dev", ""},
		{"a port that is not known", []string{"app.dev"}, 0, "app.dev:8080", "app.dev"},
		{"IPv6", []string{"[2001:db8::1]"}, 8443, "[2001:db8::1]", "[2001:db8::1]"},
		{"IPv6 and a port", []string{"[2001:db8::1]"}, 8443, "[2001:db8::1]:8080", "[2001:db8::1]:8443"},
		{"a certificate's, where every host is taken", nil, 443, "cert.example", "cert.example"},
		{"nobody's, where every host is taken", nil, 443, "evil.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Sites: []Site{answering("app", tt.hosts...)}, Logger: slog.New(slog.DiscardHandler)}
			secured(p)(&c)
			c.HTTPListen = nil
			s, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			s.httpsPort.Store(tt.port)
			now := s.current.Load()
			got, known := s.secureHost(tt.host, now.security, now.routes)
			if known != (tt.want != "") || known && got != tt.want {
				t.Errorf("got %q, %v", got, known)
			}
		})
	}
}

func TestATrustedProxyThatHasDoneTLSIsServed(t *testing.T) {
	p := newPair(t, "app.dev")
	r := run(t, answering("app", "app.dev"), secured(p))
	_, body := askPlainly(t, await(t, r.listening).String(), "GET / HTTP/1.1\r\nHost: app.dev\r\nX-Forwarded-Proto: https\r\n\r\n")
	if body != "app" {
		t.Errorf("got %q", body)
	}
}

func TestHTTPAtAPortThatSpeaksHTTPS(t *testing.T) {
	p := newPair(t, "app.dev")
	r := run(t, answering("app", "app.dev"), secured(p))
	resp, body := askPlainly(t, strings.TrimPrefix(r.url, "http://"), "GET / HTTP/1.1\r\nHost: app.dev\r\n\r\n")
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "This port speaks HTTPS") {
		t.Errorf("got %s %q", resp.Status, body)
	}
	for _, entry := range r.log.entries(t, "a TLS handshake failed") {
		if entry["level"] != "DEBUG" {
			t.Errorf("got %v", entry)
		}
	}
}

func TestAReloadChangesCertificatesAndKeepsConnections(t *testing.T) {
	p := newPair(t, "app.dev")
	r := run(t, answering("app", "app.dev"), secured(p))
	address := strings.TrimPrefix(r.url, "http://")
	kept := p.client(t, address, "HTTP/2.0")
	fetch(t, kept, "https://app.dev/")

	// What is wrong leaves all as it is.
	if err := os.Rename(p.Key, p.Key+".away"); err != nil {
		t.Fatal(err)
	}
	err := r.tryReload(func(c *Config) { c.Sites = []Site{answering("never")} })
	if err == nil || !strings.Contains(err.Error(), "TLS.Files[0].Key: "+p.Key+" cannot be read") {
		t.Errorf("got %v", err)
	}
	if _, body := fetch(t, p.client(t, address, "HTTP/1.1"), "https://app.dev/"); body != "app" {
		t.Errorf("got %q", body)
	}

	p.renew(t, "app.dev", "new.example")
	r.reload(t, func(c *Config) { c.Sites = []Site{answering("app", "app.dev", "new.example")} })
	if _, body := fetch(t, p.client(t, address, "HTTP/1.1"), "https://new.example/"); body != "app" {
		t.Errorf("got %q", body)
	}
	if info := r.Certificates(); len(info) != 1 || len(info[0].Names) != 2 {
		t.Errorf("got %+v", info)
	}
	// The client trusts the former certificate only, and has its connection still.
	if _, body := fetch(t, kept, "https://app.dev/"); body != "app" {
		t.Errorf("got %q", body)
	}
}

func TestAReloadBeginsAndEndsTLSAtTheSameAddress(t *testing.T) {
	p := newPair(t, "app.dev")
	r := run(t, answering("app", "app.dev"))
	address := strings.TrimPrefix(r.url, "http://")
	kept := keep(t, r.url)
	kept.get(t, "/")

	r.reload(t, func(c *Config) { secured(p)(c); c.Sites = []Site{answering("app", "app.dev", "127.0.0.1")} })
	plainly := await(t, r.listening).String()
	client := p.client(t, address, "HTTP/2.0")
	if _, body := fetch(t, client, "https://app.dev/"); body != "app" {
		t.Errorf("got %q", body)
	}
	if resp, _ := kept.get(t, "/"); resp.StatusCode != http.StatusPermanentRedirect {
		t.Errorf("a connection from before: %s", resp.Status)
	}

	r.reload(t, func(c *Config) { c.TLS, c.HTTPListen = nil, nil })
	waitUntilRefused(t, plainly)
	if _, body := askPlainly(t, address, "GET / HTTP/1.1\r\nHost: app.dev\r\n\r\n"); body != "app" {
		t.Errorf("got %q", body)
	}
	if _, body := fetch(t, client, "https://app.dev/"); body != "app" {
		t.Errorf("a connection from before: %q", body)
	}
	if len(r.Certificates()) > 0 {
		t.Errorf("got %+v", r.Certificates())
	}
}

func TestProblemsOfTLS(t *testing.T) {
	p := newPair(t, "app.dev")
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a certificate that is not there", func(c *Config) { c.TLS.Files[0].Cert = "nowhere.pem" }, "TLS.Files[0].Cert: nowhere.pem cannot be read"},
		{"ACME without hosts", func(c *Config) { c.TLS.ACME = &certificate.ACME{Storage: t.TempDir()} }, "TLS.ACME.Hosts: is empty"},
		{"redirects without TLS", func(c *Config) { c.TLS = nil }, "HTTPListen: redirects to TLS, which there is none of"},
		{"HSTS without TLS", func(c *Config) { c.TLS, c.HTTPListen, c.HSTS = nil, nil, time.Hour }, "HSTS: does nothing without TLS"},
		{"HSTS of less than a second", func(c *Config) { c.HSTS = time.Millisecond }, "HSTS: 1ms is less than a second"},
		{"HSTS for ever", func(c *Config) { c.HSTS = 1_000_000 * time.Hour }, "HSTS: 1000000h0m0s is more than ten years"},
		{"an address twice", func(c *Config) { c.HTTPListen = []string{"127.0.0.1:8443"} }, "HTTPListen: 127.0.0.1:8443 is there twice"},
		{"an address that is none", func(c *Config) { c.HTTPListen = []string{"80"} }, `HTTPListen: "80" is not an address`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Listen: []string{"127.0.0.1:8443"}, Sites: []Site{answering("app", "app.dev")}}
			secured(p)(&c)
			tt.change(&c)
			for _, err := range []error{Check(c), func() error { _, err := New(c); return err }()} {
				if err == nil || len(Problems(err)) != 1 || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
