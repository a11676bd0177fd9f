// Package check has clerk-proxy check look at proxies: ours, a correct nginx, and
// many that are broken the way proxies are. Each fault is named in words, and
// nothing else is said to be one.
package check

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// nginxPath is where nginx was found.
var nginxPath string

// Without nginx the tests fail: skipped, they would look as if they had passed.
func TestMain(m *testing.M) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // sbin is not on everybody's path
		if path, err := exec.LookPath(name); err == nil {
			nginxPath = path
			os.Exit(m.Run())
		}
	}
	fmt.Fprintln(os.Stderr, "test/check: nginx is not installed; type: make nginx")
	os.Exit(1)
}
