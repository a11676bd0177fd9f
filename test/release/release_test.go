// Package release builds what is published twice, and compares.
package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/release/releasetest"
)

// A checkout, and an archive of the source in another directory, give the same
// bytes: binary, manual and all else. The binary knows its version either way.
func TestArchivesAreReproducible(t *testing.T) {
	checkout := filepath.Join(t.TempDir(), "checkout")
	copyTree(t, "../..", checkout)
	releasetest.Command(t, checkout, "git", "init", "-q")
	releasetest.Command(t, checkout, "git", "add", "-A")
	releasetest.Command(t, checkout, "git", "commit", "-q", "-m", "As it is")
	releasetest.Command(t, checkout, "git", "tag", "v1.2.3")
	revision := releasetest.Command(t, checkout, "git", "rev-parse", "HEAD")

	source := filepath.Join(t.TempDir(), "another", "source")
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	releasetest.Command(t, checkout, "git", "archive", "-o", filepath.Join(source, "source.tar"), "HEAD")
	releasetest.Command(t, source, "tar", "-xf", "source.tar")

	platform := runtime.GOOS + "/" + runtime.GOARCH
	name := "clerk-proxy_v1.2.3_" + strings.ReplaceAll(platform, "/", "_")
	var packed [2][]byte
	for i, dir := range []string{checkout, source} {
		out := t.TempDir()
		releasetest.Command(t, dir, "go", "run", "./internal/release", "-out", out, "-platforms", platform)
		var err error
		if packed[i], err = os.ReadFile(filepath.Join(out, name+".tar.gz")); err != nil {
			t.Fatal(err)
		}
		sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
		if want := fmt.Sprintf("%x  %s.tar.gz\n", sha256.Sum256(packed[i]), name); err != nil || string(sums) != want {
			t.Errorf("SHA256SUMS is %q, not %q: %v", sums, want, err)
		}
	}
	files := unpack(t, packed[0])
	if !bytes.Equal(packed[0], packed[1]) {
		for name, content := range unpack(t, packed[1]) {
			if !bytes.Equal(content, files[name]) {
				t.Errorf("%s is another one", name)
			}
		}
		t.Fatal("the archives differ")
	}

	binary := filepath.Join(t.TempDir(), "clerk-proxy")
	if err := os.WriteFile(binary, files[name+"/clerk-proxy"], 0o755); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("clerk-proxy v1.2.3 (revision %s) %s %s", revision[:12], runtime.Version(), platform)
	if said := releasetest.Command(t, "", binary, "version"); said != want {
		t.Errorf("it says %q, not %q", said, want)
	}
	for _, dir := range []string{checkout, source, os.Getenv("HOME") + "/go"} {
		if bytes.Contains(files[name+"/clerk-proxy"], []byte(dir)) {
			t.Errorf("the binary tells of %s", dir)
		}
	}
	isStatic(t, binary)
	for _, each := range []string{"LICENSE", "README.md", "man/clerk-proxy-serve.1", "completions/bash/clerk-proxy", "deploy/systemd/clerk-proxy.service", "deploy/systemd/clerk-proxy.socket"} {
		if len(files[name+"/"+each]) == 0 {
			t.Errorf("%s is not in the archive", each)
		}
	}
	linksLeadSomewhere(t, name, files, revision)
}

// isStatic looks for what a dynamic linker would be needed for.
func isStatic(t *testing.T, binary string) {
	t.Helper()
	file, err := elf.Open(binary)
	if formatError := (*elf.FormatError)(nil); errors.As(err, &formatError) {
		return // not Linux
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has %v", program.Type)
		}
	}
}

// linksLeadSomewhere follows all links of the pages, within the archive.
func linksLeadSomewhere(t *testing.T, top string, files map[string][]byte, revision string) {
	t.Helper()
	links := regexp.MustCompile(`(?:\]\(|(?:src|srcset)=")([^)#"\s]+)`)
	code := regexp.MustCompile("(?ms)^```.*?^```")
	followed, left := 0, 0
	for name, content := range files {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, link := range links.FindAllSubmatch(code.ReplaceAll(content, nil), -1) {
			target := string(link[1])
			if inside, ours := strings.CutPrefix(target, "https://github.com/clerkproxy/clerkproxy/blob/"+revision+"/"); ours {
				left++
				if _, err := os.Stat(filepath.Join("../..", inside)); err != nil {
					t.Errorf("%s has a link to %s, which is not in the repository", name, inside)
				}
			}
			if strings.Contains(target, ":") {
				continue
			}
			followed++
			if target = path.Join(path.Dir(name), target); !holds(files, target) {
				t.Errorf("%s has a link to %s, which is not in the archive", name, strings.TrimPrefix(target, top+"/"))
			}
		}
	}
	if followed < 20 || left < 5 {
		t.Errorf("there are %d links within the archive and %d out of it", followed, left)
	}
}

// holds reports whether a file or directory is there.
func holds(files map[string][]byte, target string) bool {
	for name := range files {
		if name == target || strings.HasPrefix(name, target+"/") {
			return true
		}
	}
	return false
}

// copyTree copies the source as it is now, committed or not.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	skipped := []string{".git", "node_modules", "bin", "dist", ".cache"}
	err := filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(skipped, entry.Name()) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func unpack(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zipped)
	files := map[string][]byte{}
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
