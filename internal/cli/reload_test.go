package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

func TestAFileThatIsBeingWrittenIsNotReadYet(t *testing.T) {
	name := filepath.Join(t.TempDir(), "clerk-proxy.yaml")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("listen: :8080\n")
	source := config.Source{File: name, Getenv: os.Getenv}
	_, files, _ := source.Load() // it has no sites; that is of no interest here
	r := reloader{files: files, seen: files.Digests()}
	look := func(when string, want bool) {
		t.Helper()
		if got := r.changed(); len(got) > 0 != want || want && !slices.Equal(got, []string{name}) {
			t.Errorf("%s: changed is %q", when, got)
		}
	}

	look("as it was read", false)
	write("sites:\n")
	look("half of it is written", false)
	write("sites:\n  - hosts: app.dev\n")
	look("the rest is written", false)
	look("nothing more is written", true)
	write("listen: :8080\n")
	look("it is being changed back", false)
	look("it is as it was read", false)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	look("it is gone", false)
	look("it is still gone", true)
}
