// Package h2spec has the real binary tested by h2spec, which knows RFC 7540 and
// RFC 7541 by heart.
package h2spec

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/reporter"
	"github.com/summerwind/h2spec/spec"
)

// cases is how many h2spec has. Fewer would mean that some were not tried.
const cases = 146

func TestH2Spec(t *testing.T) {
	host, port := serve(t)
	for name, path := range map[string]string{"of the application": "/", "of Clerk": "/__clerk/v1/client"} {
		t.Run("answers "+name, func(t *testing.T) {
			c := &config.Config{
				Host: host, Port: port, Path: path, TLS: true, Insecure: true, Strict: true,
				Timeout: 5 * time.Second, MaxHeaderLen: 4000,
			}
			groups := []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()}
			passed := 0
			for _, group := range groups {
				group.Test(c)
				passed += group.PassedCount
			}
			if passed != cases {
				reporter.FailedTests(groups)
				t.Errorf("%d cases of %d have passed", passed, cases)
			}
		})
	}
}

// serve runs the binary, with TLS, until the test ends.
func serve(t *testing.T) (host string, port int) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "clerk-proxy")
	build := exec.Command("go", "build", "-o", binary, "./cmd/clerk-proxy")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the binary: %v\n%s", err, out)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an answer") }))
	t.Cleanup(upstream.Close)
	cert, key := certificate(t, dir)

	command := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key,
		"--app", upstream.URL, "--admin-listen", "off", "--log-format", "text")
	command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.Contains(v, "CLERK_") }),
		"CLERK_PUBLISHABLE_KEY=pk_live_Y2xlcmsuYXBwLmRldiQ", "CLERK_SECRET_KEY=sk_live_x", "CLERK_FAPI_URL="+upstream.URL)
	said, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	defer time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() }).Stop() // which ends its log
	lines := bufio.NewScanner(said)
	var log strings.Builder
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { // ends with the process
				for lines.Scan() {
				}
			}()
			host, digits, _ := net.SplitHostPort(found[1])
			port, _ := strconv.Atoi(digits)
			return host, port
		}
	}
	t.Fatalf("it does not listen:\n%s", &log)
	return "", 0
}

var listening = regexp.MustCompile(`msg=listening address=(\S+)`)

// certificate writes one that nobody trusts, and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	authority := httptest.NewTLSServer(nil)
	defer authority.Close()
	secret, err := x509.MarshalPKCS8PrivateKey(authority.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: authority.Certificate().Raw},
		key:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
