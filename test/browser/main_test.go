// Package browser drives Clerk's own JavaScript in Chromium through the real
// binary: what a person does, and what only a browser can tell.
package browser

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var updateScreenshots = flag.Bool("update-screenshots", false, "write the screenshots in docs/images anew")

// What TestMain found and made, for every test to use.
var (
	chromium   string // Chromium's path
	clerkProxy string // the binary under test
)

// npmDir holds Clerk's packages, and imagesDir the screenshots of the docs.
const (
	npmDir    = "../../npm"
	imagesDir = "../../docs/images"
)

// parallel is how many tests run at a time. What limits them is how many
// browsers do; a test that waits for a minute must not hold up the others.
const parallel = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		os.Exit(fail(err))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "clerkproxy-browser-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		return fail(err)
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "test/browser:", err)
	return 1
}

// prepare finds what the tests need and builds the binary. What is missing
// fails the tests: skipped, they would look as if they had passed.
func prepare(dir string) error {
	var err error
	if chromium, err = findChromium(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(npmDir, "node_modules", "@clerk", "clerk-js")); errors.Is(err, fs.ErrNotExist) {
		return errors.New("Clerk's npm packages are not installed; type: make npm")
	}
	clerkProxy = filepath.Join(dir, "clerk-proxy")
	build := exec.Command("go", "build", "-o", clerkProxy, "../../cmd/clerk-proxy")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return nil
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("Chromium is not installed; type: make chromium")
}
