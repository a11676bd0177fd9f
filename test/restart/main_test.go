// Package restart changes the configuration of the real binary, and restarts it,
// under load: no request may fail.
package restart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// clerkProxy is the binary under test.
var clerkProxy string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clerkproxy-restart-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/restart:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	clerkProxy = filepath.Join(dir, "clerk-proxy")
	build := exec.Command("go", "build", "-o", clerkProxy, "../../cmd/clerk-proxy")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "test/restart: building the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
