package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	publishableKey = "pk_live_Y2xlcmsuYXBwLmRldiQ"
	secretKey      = "sk_live_7Qm2vX9bTz4kLw8n"
)

// environment has the variables that the files in testdata name.
func environment(name string) string {
	return map[string]string{"KEY": secretKey, "TEST_KEY": "sk_test_3Rf6yH1cJd5pSa0e", "PUBLISHABLE": publishableKey}[name]
}

// withoutClerk takes away what the machine's environment says about Clerk.
func withoutClerk(t *testing.T) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.Contains(name, "CLERK_") {
			t.Setenv(name, "")
		}
	}
}

// TestWrongFiles reads the files in testdata/wrong. What is wrong with a line
// follows it: "# want: " and the beginning of what must be said about it.
func TestWrongFiles(t *testing.T) {
	withoutClerk(t)
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("there are %d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			source := Source{File: file, Getenv: environment}
			_, _, err := source.Load()
			if err == nil {
				t.Fatal("it is taken to be good")
			}
			said := strings.Split(err.Error(), "\n")
			wanted := wants(t, file)
			for i := range max(len(said), len(wanted)) {
				switch {
				case i >= len(wanted):
					t.Errorf("said, but not wanted: %s", said[i])
				case i >= len(said):
					t.Errorf("wanted, but not said: %s", wanted[i])
				case !strings.HasPrefix(said[i], wanted[i]):
					t.Errorf("got  %s\nwant %s", said[i], wanted[i])
				}
			}
			if strings.Contains(err.Error(), "swordfish") {
				t.Errorf("a secret is repeated: %v", err)
			}
		})
	}
}

// wants are what the comments in a file ask for, in the order of lines.
func wants(t *testing.T, file string) (all []string) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(content), "\n") {
		for _, want := range strings.Split(line, "# want: ")[1:] {
			want = strings.ReplaceAll(strings.TrimRight(want, " "), "$DIR", dir)
			all = append(all, fmt.Sprintf("%s:%d: %s", file, i+1, want))
		}
	}
	return all
}
