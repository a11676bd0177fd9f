package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A book is a log to look into.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *book) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

func newManager(t *testing.T, log *slog.Logger, pairs ...Pair) *Manager {
	t.Helper()
	m, err := New(Config{Files: pairs}, log)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// listen serves m's certificates.
func listen(t *testing.T, m *Manager) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }),
		TLSConfig: m.TLSConfig(),
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.ServeTLS(listener, "", "") })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return listener.Addr().String()
}

// dial makes a handshake, and returns what came of it. Nothing is verified but
// what the test does.
func dial(address string, c *tls.Config) (tls.ConnectionState, error) {
	c.InsecureSkipVerify = true
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

// run runs m until the test ends.
func run(t *testing.T, m *Manager) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

func TestWhichCertificateAClientGets(t *testing.T) {
	root := newRoot(t)
	first := issue(t, root, names("first.dev", "www.first.dev"))
	wildcard := issue(t, root, names("*.app.dev"))
	exact := issue(t, root, names("API.app.dev"))
	rsa := issueRSA(t, root, names("both.dev"))
	ecdsa := issue(t, root, names("both.dev"))
	var pairs []Pair
	for _, each := range []made{first, wildcard, exact, rsa, ecdsa} {
		pairs = append(pairs, each.put(t, newFiles(t)))
	}
	address := listen(t, newManager(t, nil, pairs...))
	onlyECDSA := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}

	for _, tt := range []struct {
		name   string
		client *tls.Config
		want   made
	}{
		{"by name", &tls.Config{ServerName: "first.dev"}, first},
		{"by another name of it", &tls.Config{ServerName: "www.first.dev"}, first},
		{"whatever the case", &tls.Config{ServerName: "WWW.First.dev"}, first},
		{"by a wildcard", &tls.Config{ServerName: "www.app.dev"}, wildcard},
		{"by the very name rather than a wildcard", &tls.Config{ServerName: "api.app.dev"}, exact},
		{"a wildcard is for one label", &tls.Config{ServerName: "a.b.app.dev"}, first},
		{"a wildcard is not for the domain itself", &tls.Config{ServerName: "app.dev"}, first},
		{"an unknown name", &tls.Config{ServerName: "unknown.dev"}, first},
		{"no name", &tls.Config{}, first},
		{"the first that it supports", &tls.Config{ServerName: "both.dev"}, rsa},
		{"the one that it supports", &tls.Config{ServerName: "both.dev", MaxVersion: tls.VersionTLS12, CipherSuites: onlyECDSA}, ecdsa},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, err := dial(address, tt.client)
			if err != nil {
				t.Fatal(err)
			}
			if got := state.PeerCertificates[0]; !got.Equal(tt.want.cert) {
				t.Errorf("got that for %v", got.DNSNames)
			}
		})
	}
}

func TestProtocols(t *testing.T) {
	root := newRoot(t)
	m := newManager(t, nil, issue(t, root, names("app.dev")).put(t, newFiles(t)), issueRSA(t, root, names("app.dev")).put(t, newFiles(t)))
	address := listen(t, m)
	for _, tt := range []struct {
		name   string
		client *tls.Config
		proto  string
		fails  bool
	}{
		{"TLS 1.3 with HTTP/2", &tls.Config{NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS13}, "h2", false},
		{"TLS 1.2 with HTTP/1.1", &tls.Config{NextProtos: []string{"http/1.1"}, MaxVersion: tls.VersionTLS12}, "http/1.1", false},
		{"no protocol named", &tls.Config{}, "", false},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, "", true},
		{"no authenticated encryption", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}}, "", true},
		{"no forward secrecy", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, "", true},
		{"a challenge that nobody asked for", &tls.Config{ServerName: "app.dev", NextProtos: []string{"acme-tls/1"}}, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, err := dial(address, tt.client)
			if (err != nil) != tt.fails || state.NegotiatedProtocol != tt.proto {
				t.Errorf("got %q, %v", state.NegotiatedProtocol, err)
			}
		})
	}
}

func TestFilesChangeUnderLoadWithoutAFailedHandshake(t *testing.T) {
	root := newRoot(t)
	between := newIssuer(t, root, "Test Intermediate")
	files := newFiles(t)
	issue(t, between, names("app.dev")).put(t, files, between)
	m := newManager(t, slog.New(slog.DiscardHandler), files)
	m.poll = time.Millisecond
	run(t, m)
	address := listen(t, m)

	roots := x509.NewCertPool()
	roots.AddCert(root.cert)
	seen := make(chan int64) // serial numbers, from the clients
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: "app.dev", RootCAs: roots})
				if err != nil {
					t.Error(err)
					cancel()
					return
				}
				select {
				case seen <- conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64():
				case <-ctx.Done():
				}
				conn.Close()
			}
		})
	}
	for range 20 {
		next := issue(t, between, names("app.dev"))
		next.put(t, files, between) // not at once: first the one file, then the other
		for served := false; !served && ctx.Err() == nil; {
			select {
			case serial := <-seen:
				served = serial == next.cert.SerialNumber.Int64()
			case <-ctx.Done():
			}
		}
	}
	cancel()
	clients.Wait()
}

func TestFilesThatChangeForTheWorseAreNotUsed(t *testing.T) {
	good, next := issue(t, nil, names("app.dev")), issue(t, nil, names("app.dev"))
	files := good.put(t, newFiles(t))
	var log book
	m := newManager(t, log.logger(), files)
	inForce := func(want made, failure string) {
		t.Helper()
		cert, err := m.certificate(&tls.ClientHelloInfo{})
		if err != nil || !cert.Leaf.Equal(want.cert) {
			t.Errorf("in force is %v, %v", cert, err)
		}
		if got := m.Certificates()[0].Failure; got != failure && (failure == "" || !strings.Contains(got, failure)) {
			t.Errorf("the failure is %q", got)
		}
	}

	m.refresh()
	if log.String() != "" {
		t.Errorf("nothing has changed, and this is logged: %s", &log)
	}
	write(t, files.Cert, chainPEM(next.cert)) // its key is on the way
	m.refresh()
	inForce(good, "")
	if log.String() != "" {
		t.Errorf("a pair that is half-written is logged: %s", &log)
	}
	for range 3 { // the key does not come
		m.refresh()
		inForce(good, "is not the key of the certificate")
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, &log)
	}
	write(t, files.Key, keyPEM(t, next.key))
	m.refresh()
	inForce(next, "")
	if !strings.Contains(log.String(), `level=INFO msg="certificate loaded" file=`+files.Cert) {
		t.Errorf("logged: %s", &log)
	}

	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	m.refresh()
	m.refresh()
	inForce(next, "no such file")
	write(t, files.Key, keyPEM(t, next.key)) // the one from before
	m.refresh()
	inForce(next, "")
}

func TestAChangedFileIsWarnedOfLikeAnyOther(t *testing.T) {
	files := issue(t, nil, names("app.dev")).put(t, newFiles(t))
	var log book
	m := newManager(t, log.logger(), files)
	issue(t, nil, func(c *x509.Certificate) { names("app.dev")(c); c.NotAfter = time.Now().Add(-time.Second) }).put(t, files)
	m.refresh()
	if !strings.Contains(log.String(), "expired on") {
		t.Errorf("logged: %s", &log)
	}
}

func TestAReloadIsAllOrNothing(t *testing.T) {
	first, second := issue(t, nil, names("first.dev")), issue(t, nil, names("second.dev"))
	firstFiles, secondFiles := first.put(t, newFiles(t)), second.put(t, newFiles(t))
	m := newManager(t, nil, firstFiles)
	inForce := func() (all []string) {
		for _, info := range m.Certificates() {
			all = append(all, info.Names...)
		}
		return all
	}
	if err := m.Reload(Config{Files: []Pair{secondFiles, newFiles(t)}}); err == nil {
		t.Error("a file that is not there was taken")
	}
	if err := m.Reload(Config{Files: []Pair{secondFiles}, ACME: new(ACME)}); err == nil {
		t.Error("ACME without hosts was taken")
	}
	if err := m.Reload(Config{}); err == nil {
		t.Error("no certificate at all was taken")
	}
	if got := inForce(); !slices.Equal(got, []string{"first.dev"}) {
		t.Errorf("in force are %v", got)
	}
	if err := m.Reload(Config{Files: []Pair{secondFiles, firstFiles}}); err != nil {
		t.Error(err)
	}
	if got := inForce(); !slices.Equal(got, []string{"second.dev", "first.dev"}) {
		t.Errorf("in force are %v", got)
	}
}

func TestSessionsAreResumedAcrossAReload(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			m := newManager(t, nil, issue(t, nil, names("app.dev")).put(t, newFiles(t)))
			transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
				ServerName: "app.dev", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(0),
			}}
			client := &http.Client{Transport: transport}
			address := listen(t, m)
			resumed := func() bool {
				t.Helper()
				resp, err := client.Get("https://" + address)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body) // the ticket comes before it
				resp.Body.Close()
				return resp.TLS.DidResume
			}
			if resumed() {
				t.Error("the first is resumed")
			}
			if err := m.Reload(Config{Files: []Pair{issue(t, nil, names("app.dev")).put(t, newFiles(t))}}); err != nil {
				t.Fatal(err)
			}
			if !resumed() {
				t.Error("it is not resumed")
			}
		})
	}
}

func TestEachListenerHasItsOwnConfig(t *testing.T) {
	m := newManager(t, nil, issue(t, nil, names("app.dev")).put(t, newFiles(t)))
	one, other := m.TLSConfig(), m.TLSConfig()
	one.NextProtos[0] = "changed"
	if one == other || other.NextProtos[0] != "h2" {
		t.Error("they are one")
	}
}

func newACMEManager(t *testing.T) *Manager {
	t.Helper()
	m, err := New(Config{ACME: &ACME{Hosts: []string{"app.dev"}, Directory: "https://127.0.0.1:1/", Storage: t.TempDir()}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// idle puts an authority in place that does not run.
func idle(t *testing.T, m *Manager) *authority {
	s := m.state.Load()
	a := newAuthority(s.acme, s.hosts, m.log)
	t.Cleanup(a.cache.Stop)
	t.Cleanup(func() { a.placeholder.Close() })
	m.authority.Store(a)
	return a
}

func TestTheHTTPHandlerLeavesAloneWhatIsNoChallenge(t *testing.T) {
	m := newACMEManager(t)
	handler := m.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "next") }))
	ask := func() {
		t.Helper()
		for _, target := range []string{"http://app.dev/", "http://app.dev:8080/.well-known/acme-challenge/token", "http://other.dev/.well-known/acme-challenge/token"} {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, target, nil))
			if answer.Body.String() != "next" {
				t.Errorf("%s: got %s", target, answer.Body)
			}
		}
	}
	ask()
	idle(t, m)
	ask()
}

func TestCertmagicFindsThatSomebodyListens(t *testing.T) {
	a := idle(t, newACMEManager(t))
	if a.issuer.AltHTTPPort != a.issuer.AltTLSALPNPort {
		t.Error("there are two ports")
	}
	address := net.JoinHostPort(a.issuer.ListenHost, strconv.Itoa(a.issuer.AltHTTPPort))
	if listener, err := net.Listen("tcp", address); err == nil {
		listener.Close()
		t.Errorf("nobody listens on %s", address)
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("who listens says something: %v", err)
	}
}

func TestAFailureIsOverOnceThereIsANewerCertificate(t *testing.T) {
	a := idle(t, newACMEManager(t))
	fail := func(err error) {
		a.onEvent(t.Context(), "cert_failed", map[string]any{"identifier": "app.dev", "error": err})
	}
	fail(fmt.Errorf("order: %w", context.Canceled))
	if got := a.failure("app.dev"); got != "" {
		t.Errorf("the end that was wanted is a failure: %s", got)
	}
	fail(errors.New(strings.Repeat("é", maxFailure)))
	if got := a.failure("app.dev"); len(got) != maxFailure {
		t.Errorf("it is %d bytes: %s", len(got), got)
	}
	// It comes from another machine, so that no event says so.
	made := issue(t, nil, names("app.dev"))
	if _, err := a.magic.CacheUnmanagedTLSCertificate(t.Context(), tls.Certificate{Certificate: [][]byte{made.cert.Raw}, PrivateKey: made.key, Leaf: made.cert}, nil); err != nil {
		t.Fatal(err)
	}
	if got := a.failure("app.dev"); got != "" {
		t.Errorf("it is still there: %s", got)
	}
}

func TestCertificatesOfHostsThatHaveNone(t *testing.T) {
	own := issue(t, nil, func(c *x509.Certificate) {
		names("own.dev", "*.own.dev")(c)
		c.IPAddresses = loopback
	})
	files := own.put(t, newFiles(t))
	m, err := New(Config{Files: []Pair{files}, ACME: &ACME{Hosts: []string{"app.dev", "www.own.dev"}, Storage: t.TempDir()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%+v", []Info{
		{Names: []string{"own.dev", "*.own.dev", "127.0.0.1"}, Source: SourceFile, File: files.Cert, NotBefore: own.cert.NotBefore, NotAfter: own.cert.NotAfter},
		{Names: []string{"app.dev"}, Source: SourceACME},
	})
	if got := fmt.Sprintf("%+v", m.Certificates()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if err := m.Revoke(t.Context(), "app.dev", 1); err == nil {
		t.Error("what has not been issued was revoked")
	}
}

func TestAFileThatGainsANameTakesTheHostFromACME(t *testing.T) {
	files := issue(t, nil, names("own.dev")).put(t, newFiles(t))
	m, err := New(Config{Files: []Pair{files}, ACME: &ACME{Hosts: []string{"app.dev"}, Storage: t.TempDir()}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	<-m.changed // New's
	issue(t, nil, names("own.dev", "app.dev")).put(t, files)
	m.refresh()
	if hosts := m.state.Load().hosts; len(hosts) > 0 {
		t.Errorf("ACME has %v", hosts)
	}
	select {
	case <-m.changed:
	default:
		t.Error("Run is not told")
	}
}
