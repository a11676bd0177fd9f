package acme

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clerkProxy is the binary under test.
var clerkProxy string

// withBinary builds it for what it runs, and returns the exit status.
func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "clerkproxy-acme-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/acme:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	clerkProxy = filepath.Join(dir, "clerk-proxy")
	build := exec.Command("go", "build", "-C", "../..", "-o", clerkProxy, "./cmd/clerk-proxy")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "test/acme: building the binary: %v\n%s", err, out)
		return 1
	}
	return run()
}

// arguments are those that a command of the binary is configured by.
func (p *pebble) arguments(storage string) []string {
	return []string{
		"--host", p.host, "--fapi-url", "http://127.0.0.1:9", "--acme", "--acme-email", "ops@example.test",
		"--acme-directory", p.directory, "--acme-ca", p.caFile, "--acme-storage", storage,
	}
}

// command is one of the binary's, without what this environment says about Clerk.
func command(t *testing.T, args ...string) *exec.Cmd {
	// LISTEN_PID is the process's own, which nobody knows before.
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", clerkProxy}, args...)...)
	for _, variable := range os.Environ() {
		if !strings.Contains(variable, "CLERK_") && !strings.HasPrefix(variable, processVariable) {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "CLERK_PUBLISHABLE_KEY=pk_live_Y2xlcmsuYXBwLmRldiQ", "CLERK_SECRET_KEY=sk_live_7Qm2vX9bTz4kLw8n")
	return cmd
}

// A served is a running server.
type served struct {
	cmd     *exec.Cmd
	log     *book
	ended   chan error
	address string // for HTTPS
	pages   string // the URL of the admin pages
}

// serveAt runs a server with a machine's listeners, or with others if it is nil.
func serveAt(t *testing.T, m *machine, args []string) *served {
	t.Helper()
	args = append([]string{"serve", "--log-format", "json", "--log-level", "debug", "--admin-listen", "127.0.0.1:0"}, args...)
	var cmd *exec.Cmd
	if m == nil {
		cmd = command(t, append(args, "--listen", "127.0.0.1:0")...)
	} else {
		cmd = command(t, append(args, "--listen", "systemd:https", "--http-listen", "systemd:http")...)
		cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=https:http")
		for _, listener := range []net.Listener{m.secure, m.plain} {
			file, err := listener.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		}
	}
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if m != nil { // from now on they are the server's alone
		m.secure.Close()
		m.plain.Close()
	}
	s := &served{cmd: cmd, log: newBook(), ended: make(chan error, 1)}
	go func() { // ends with the process
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if _, err := s.log.Write(append(lines.Bytes(), '\n')); err != nil {
				fmt.Fprintln(os.Stderr, lines.Text())
			}
		}
		s.ended <- cmd.Wait()
	}()
	s.awaitAddresses(t)
	return s
}

// awaitAddresses waits for the first listener and the admin pages, which come in
// any order.
func (s *served) awaitAddresses(t *testing.T) {
	t.Helper()
	late := time.After(timeout)
	for s.address == "" || s.pages == "" {
		select {
		case entry := <-s.log.lines:
			switch {
			case entry["msg"] == "listening" && s.address == "":
				s.address = entry["address"].(string)
			case entry["msg"] == "admin pages":
				s.pages = entry["url"].(string)
			}
		case <-late:
			t.Fatalf("it does not listen:\n%s", s.log)
		}
	}
}

// end ends a server in good order.
func (s *served) end(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("it ended with %v:\n%s", err, s.log)
		}
	case <-time.After(timeout):
		t.Fatalf("it does not end:\n%s", s.log)
	}
}

func (s *served) serial(t *testing.T, p *pebble) string {
	t.Helper()
	cert, err := p.handshake(s.address, p.host)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	return cert.SerialNumber.String()
}

// ask asks a server over HTTPS, as a client who trusts the authority.
func (s *served) ask(t *testing.T, p *pebble, path string) *http.Response {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: p.roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+p.host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// Two servers share a storage: there is one order, whoever placed it. When the
// certificate is revoked, both have another one soon.
func TestServersShareWhatIsIssuedAndRevoked(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			p := startPebble(t, m.options())
			storage := filepath.Join(t.TempDir(), "storage")
			args := append(p.arguments(storage), "--acme-challenges", challenge)
			asked, other := serveAt(t, m, args), serveAt(t, nil, args)
			asked.log.wait(t, "certificate loaded")
			other.log.wait(t, "certificate loaded")
			former := asked.serial(t, p)
			if n := p.orders.Load(); n != 1 || other.serial(t, p) != former {
				t.Errorf("%d orders were placed", n)
			}
			if resp := asked.ask(t, p, "/page"); resp.Proto != "HTTP/2.0" || resp.StatusCode != http.StatusNotFound {
				t.Errorf("got %s %s", resp.Proto, resp.Status)
			}
			if said := get(t, asked.pages+"metrics"); !strings.Contains(said, fmt.Sprintf("clerk_proxy_certificate_expiry_timestamp_seconds{name=%q} ", p.host)) {
				t.Errorf("there is no metric of the certificate:\n%s", said)
			}
			if said := get(t, asked.pages+"status.json"); !strings.Contains(said, fmt.Sprintf(`"certificates":[{"name":%q,"issuer":"Pebble Intermediate CA`, p.host)) {
				t.Errorf("the status page has no certificate:\n%s", said)
			}

			revoke := append([]string{"revoke", "--yes", p.host}, args...)
			out, err := command(t, revoke...).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "The former certificate for "+p.host+" is revoked. The new one, by Pebble Intermediate CA") {
				t.Fatalf("%v: %s", err, out)
			}
			for _, s := range []*served{asked, other} {
				for s.log.wait(t, "certificate loaded")["because"] != "it has been replaced in the storage" {
				}
			}
			fresh := asked.serial(t, p)
			if fresh == former || other.serial(t, p) != fresh {
				t.Errorf("after %s there are %s and %s", former, fresh, other.serial(t, p))
			}
			if !p.revoked(serialNumber(t, former)) || p.revoked(serialNumber(t, fresh)) {
				t.Error("it is not the former one that is revoked, and it alone")
			}
			if n := p.orders.Load(); n != 2 {
				t.Errorf("%d orders were placed", n)
			}
			asked.end(t)
			other.end(t)

			// Without anybody who answers the authority, nothing is lost.
			again, err := command(t, revoke...).CombinedOutput()
			if err == nil || !strings.Contains(string(again), "clerk-proxy: nothing is revoked, as the authority issued no new certificate; do the servers run? ") {
				t.Errorf("%v: %s", err, again)
			}
			if p.revoked(serialNumber(t, fresh)) {
				t.Error("it was revoked, though there is no other")
			}
			for _, secret := range slices.Concat(secretsIn(t, storage), []string{"sk_live_7Qm2vX9bTz4kLw8n"}) {
				if strings.Contains(asked.log.String()+other.log.String()+string(out), secret) {
					t.Errorf("what is said holds %q", secret)
				}
			}
		})
	}
}

func TestAServerRenewsWhatIsDue(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	options := m.options()
	options.validity = 60 // which is due at once for who looks every ten minutes
	p := startPebble(t, options)
	s := serveAt(t, m, p.arguments(filepath.Join(t.TempDir(), "storage")))
	first := s.log.wait(t, "certificate issued")
	second := s.log.wait(t, "certificate issued")
	if first["renewal"] != false || second["renewal"] != true {
		t.Errorf("got %v and %v", first, second)
	}
	s.serial(t, p)
	s.end(t)
}

func TestWhatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	p := startPebble(t, pebbleOptions{httpPort: 1, tlsPort: 1})
	own := selfSigned(t, "own."+p.host)
	args := p.arguments(t.TempDir())
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"what was not issued", append(args, p.host, "--yes"), "there is no certificate for " + p.host + " in "},
		{"another host", append(args, "other.example.test", "--yes"), "other.example.test is none of the hosts with certificates by ACME: " + p.host},
		{"a file's", append(args, "own."+p.host, "--yes", "--tls-cert", own.pair.Cert, "--tls-key", own.pair.Key), "is in a file; have its authority revoke it"},
		{"without ACME", []string{p.host, "--yes"}, "there is no ACME in the configuration"},
		{"for no reason", append(args, p.host, "--yes", "--reason", "boredom"), `--reason: "boredom" is none of key-compromise, superseded, unspecified`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, append([]string{"revoke"}, tt.args...)...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	if n := p.orders.Load(); n != 0 {
		t.Errorf("%d orders were placed", n)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func serialNumber(t *testing.T, decimal string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(decimal, 10)
	if !ok {
		t.Fatalf("%q is no number", decimal)
	}
	return n
}
