package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/release/releasetest"
)

func TestVersionOfASourceWithoutACheckout(t *testing.T) {
	tests := []struct {
		name, file string
		want       version
	}{
		{"nothing is known", "$Format:%H$\n$Format:%ct$\n$Format:%(describe)$\n", version{time: time.Unix(0, 0)}},
		{"an archive of a release", "0123456789abcdef\n1700000000\nv1.2.3\n", version{"v1.2.3", "0123456789abcdef", time.Unix(1700000000, 0)}},
		{"an archive of what has no tag", "0123456789abcdef\n1700000000\n\n", version{"", "0123456789abcdef", time.Unix(1700000000, 0)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "version.txt"), []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := versionOf(dir); got != tt.want || err != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// What was changed since the commit shows.
func TestVersionOfAChangedCheckout(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	releasetest.Command(t, dir, "git", "init", "-q")
	releasetest.Command(t, dir, "git", "add", "-A")
	releasetest.Command(t, dir, "git", "commit", "-q", "-m", "One")
	if v, err := versionOf(dir); err != nil || v.name != "" || len(v.revision) != 40 || v.String() != "devel-"+v.revision[:12] {
		t.Errorf("without a tag: %+v, %v", v, err)
	}
	releasetest.Command(t, dir, "git", "tag", "v1.0.0")
	if err := os.WriteFile(file, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := versionOf(dir); err != nil || v.name != "v1.0.0+dirty" || !strings.HasSuffix(v.revision, "+dirty") {
		t.Errorf("changed: %+v, %v", v, err)
	}
}

func TestLinksOutOfTheArchiveLeadToTheRepository(t *testing.T) {
	files := contents{
		"README.md":         []byte("[a](docs/a.md) [b](docs/b.md#x) [c](doc.go) [d](https://example.com) [e](#here)\n```\n[code](code.go)\n```\n"),
		"docs/a.md":         []byte(`[r](../README.md) [g](../bench) <img src="images/a.png"> <img src="images/b.png">`),
		"docs/images/a.png": nil,
	}
	files.link(version{revision: "0123+dirty"})
	const repository = "https://" + module + "/blob/0123/"
	for name, want := range map[string]string{
		"README.md": "[a](docs/a.md) [b](" + repository + "docs/b.md#x) [c](" + repository + "doc.go) [d](https://example.com) [e](#here)\n```\n[code](code.go)\n```\n",
		"docs/a.md": "[r](../README.md) [g](" + repository + `bench) <img src="images/a.png"> <img src="` + repository + `docs/images/b.png">`,
	} {
		if got := string(files[name]); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}
