// Package fronts runs the real binary behind nginx, HAProxy and Caddy, configured
// as docs/operating.md says, and looks at what arrives at Clerk and at browsers.
package fronts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs under test.
var clerkProxy, nginxPath, haproxyPath, caddyPath string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// Without the fronts the tests fail: skipped, they would look as if they had
// passed.
func run(m *testing.M) int {
	for name, path := range map[string]*string{"nginx": &nginxPath, "haproxy": &haproxyPath, "caddy": &caddyPath} {
		if *path = find(name); *path == "" {
			fmt.Fprintf(os.Stderr, "test/fronts: %s is not installed; type: make fronts\n", name)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "clerkproxy-fronts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/fronts:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	clerkProxy = filepath.Join(dir, "clerk-proxy")
	build := exec.Command("go", "build", "-o", clerkProxy, "../../cmd/clerk-proxy")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "test/fronts: building the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func find(name string) string {
	for _, each := range []string{name, "/usr/sbin/" + name} { // sbin is not on everybody's path
		if path, err := exec.LookPath(each); err == nil {
			return path
		}
	}
	return ""
}
