package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
)

// A machine has the two listeners that an authority asks.
type machine struct {
	plain, secure net.Listener
	log           *book
	manager       *certificate.Manager
	stop          func() // ends Run and the listeners, and waits
}

func newMachine(t *testing.T) *machine {
	m := &machine{log: newBook()}
	for _, listener := range []*net.Listener{&m.plain, &m.secure} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		*listener = l
	}
	return m
}

// options are those by which a pebble finds the machine.
func (m *machine) options() pebbleOptions {
	return pebbleOptions{httpPort: m.plain.Addr().(*net.TCPAddr).Port, tlsPort: m.secure.Addr().(*net.TCPAddr).Port}
}

// start serves and runs a Manager.
func (m *machine) start(t *testing.T, c certificate.Config) {
	t.Helper()
	manager, err := certificate.New(c, slog.New(slog.NewJSONHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	m.manager = manager
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	plain := &http.Server{Handler: manager.HTTPHandler(http.NotFoundHandler()), ErrorLog: quiet}
	secure := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: manager.TLSConfig(), ErrorLog: quiet}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	all.Go(func() { plain.Serve(m.plain) })
	all.Go(func() { secure.ServeTLS(m.secure, "", "") })
	all.Go(func() { manager.Run(ctx) })
	m.stop = func() {
		cancel()
		plain.Close()
		secure.Close()
		all.Wait()
	}
	t.Cleanup(m.stop)
}

func (m *machine) handshake(p *pebble, name string) (*x509.Certificate, error) {
	return p.handshake(m.secure.Addr().String(), name)
}

// handshake returns the certificate that a client gets who trusts the authority.
func (p *pebble) handshake(address, name string) (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: timeout}, "tcp", address, &tls.Config{ServerName: name, RootCAs: p.roots})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// serial is that of the certificate for a host.
func (m *machine) serial(t *testing.T, p *pebble, host string) string {
	t.Helper()
	cert, err := m.handshake(p, host)
	if err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.String()
}

// otherSerial waits until another certificate is served. No handshake may fail
// meanwhile.
func (m *machine) otherSerial(t *testing.T, p *pebble, host, serial string) string {
	t.Helper()
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		if other := m.serial(t, p, host); other != serial {
			return other
		}
	}
	t.Fatalf("the certificate stays the same:\n%s", m.log)
	return ""
}

// config has an authority issue certificates, with storage of its own.
func config(t *testing.T, p *pebble, hosts ...string) certificate.Config {
	return certificate.Config{ACME: &certificate.ACME{
		Hosts:     hosts,
		Email:     "ops@example.test",
		Directory: p.directory,
		CAFile:    p.caFile,
		Storage:   filepath.Join(t.TempDir(), "storage"),
	}}
}

// timeout is far more than anything takes.
const timeout = time.Minute

// A book collects log lines, and hands them on.
type book struct {
	mu    sync.Mutex
	all   bytes.Buffer
	lines chan map[string]any
}

func newBook() *book { return &book{lines: make(chan map[string]any, 10_000)} }

// Write takes one line.
func (b *book) Write(line []byte) (int, error) {
	entry := make(map[string]any)
	if err := json.Unmarshal(line, &entry); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.Write(line)
	b.lines <- entry
	return len(line), nil
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// wait returns the next line with the message.
func (b *book) wait(t *testing.T, message string) map[string]any {
	t.Helper()
	late := time.After(timeout)
	for {
		select {
		case entry := <-b.lines:
			if entry["msg"] == message {
				return entry
			}
		case <-late:
			t.Fatalf("nobody says %q:\n%s", message, b)
		}
	}
}
