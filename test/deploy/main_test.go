// Package deploy looks at what is in deploy/ and at the Dockerfile as those do who
// are given it: Kubernetes, Compose, systemd. There is no need for any of them to
// run.
package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// repository is where everything is.
const repository = "../.."

// clerkProxy is the static binary.
var clerkProxy string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// A test fails without what it needs: skipped, it would look as if it had
	// passed.
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		fmt.Fprintln(os.Stderr, "test/deploy: systemd is not installed; type: make systemd")
		return 1
	}
	dir, err := os.MkdirTemp("", "clerkproxy-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/deploy:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for the user of the image
		fmt.Fprintln(os.Stderr, "test/deploy:", err)
		return 1
	}
	clerkProxy = filepath.Join(dir, "clerk-proxy")
	build := exec.Command("go", "run", "./internal/release", "-binary", clerkProxy)
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "test/deploy: building the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// read returns a file of the repository.
func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// secretKey is where a file with one is.
func secretKey(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret_key")
	if err := os.WriteFile(name, []byte("sk_live_7Qm2vX9bTz4kLw8n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// effective is what is in effect with the arguments of serve and with variables.
// It must be without a fault, and nothing in it worth a warning.
func effective(t *testing.T, args []string, variables ...string) (config struct {
	Listen       []string
	HTTPListen   []string `json:"http_listen"`
	DrainDelay   string   `json:"drain_delay"`
	DrainTimeout string   `json:"drain_timeout"`
	Admin        struct{ Listen string }
}) {
	t.Helper()
	if len(args) == 0 || args[0] != "serve" {
		t.Fatalf("the arguments are %q", args)
	}
	command := exec.Command(clerkProxy, append([]string{"config"}, args[1:]...)...)
	command.Env = variables
	var said bytes.Buffer
	command.Stderr = &said
	shown, err := command.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("clerk-proxy %s: %v\n%s", strings.Join(args, " "), err, &said)
	}
	if err := yaml.Unmarshal(shown, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// outlasts asserts that whoever ends the server waits for it.
func outlasts(t *testing.T, patience time.Duration, drainDelay, drainTimeout string) {
	t.Helper()
	var drain time.Duration
	for _, each := range []string{drainDelay, drainTimeout} {
		if each == "" {
			continue
		}
		d, err := time.ParseDuration(each)
		if err != nil {
			t.Fatal(err)
		}
		drain += d
	}
	if drain < 10*time.Second || patience < drain+5*time.Second {
		t.Errorf("after %s it is killed, and needs %s", patience, drain)
	}
}
