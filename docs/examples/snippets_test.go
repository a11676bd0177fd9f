package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const guide = "../authentication.md"

// The code in the guide is that of the examples, which compile and are tested.
func TestTheGuideShowsTheExamples(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	snippets := fenced(string(text))
	if len(snippets) == 0 {
		t.Fatal("there is no code in the guide")
	}
	files := sources(t)
	for _, s := range snippets {
		if !s.standsIn(files) {
			t.Errorf("%s:%d: this code stands in no file of docs/examples:\n%s", guide, s.line, s.code)
		}
	}
}

// The check itself finds code that is not there.
func TestChangedCodeIsNoticed(t *testing.T) {
	files := []string{"func a() {\n\tb()\n}\n"}
	for code, want := range map[string]bool{
		"func a() {\n\tb()\n}\n": true,
		"b()\n":                  true,
		"b\n":                    false,
		"func a() {\n}\n":        false,
		"c()\n":                  false,
		"\n":                     false,
	} {
		text := "before\n\n```go\n" + code + "```\n\n    func indented()\n"
		found := fenced(text)
		if len(found) != 1 || found[0].line != 4 || found[0].code != code {
			t.Fatalf("%q has the snippets %+v", text, found)
		}
		if found[0].standsIn(files) != want {
			t.Errorf("%q: want %v", code, want)
		}
	}
}

type snippet struct {
	line int
	code string
}

// fenced are the code blocks between fences. All else in the guide, such as
// what is typed into a terminal, is indented.
func fenced(text string) []snippet {
	var all []snippet
	var open *snippet
	for i, line := range strings.Split(text, "\n") {
		switch {
		case !strings.HasPrefix(line, "```") && open != nil:
			open.code += line + "\n"
		case !strings.HasPrefix(line, "```"):
		case open != nil:
			all = append(all, *open)
			open = nil
		default:
			open = &snippet{line: i + 2}
		}
	}
	return all
}

// standsIn reports whether the snippet's lines follow one another in a file. How
// far they are indented as a whole does not matter.
func (s snippet) standsIn(files []string) bool {
	code := unindented(s.code)
	if strings.TrimSpace(code) == "" {
		return false
	}
	for _, file := range files {
		if strings.Contains("\n"+unindented(file), "\n"+code) {
			return true
		}
	}
	return false
}

func unindented(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimLeft(line, " \t"))
	}
	return b.String()
}

// sources are the examples, without their tests.
func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		files = append(files, string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
