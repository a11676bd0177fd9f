package main

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// contents are the files of an archive, by their paths in it.
type contents map[string][]byte

// shared are the files that the archives of all platforms hold. The binary is one
// that runs here, and writes its own manual.
func shared(dir string, v version, binary string) (contents, error) {
	files := contents{}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"} {
		if err := files.add(dir, name); err != nil {
			return nil, err
		}
	}
	for _, pattern := range []string{"docs/*.md", "docs/images/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := files.add(dir, strings.TrimPrefix(name, dir+string(filepath.Separator))); err != nil {
				return nil, err
			}
		}
	}
	err := filepath.WalkDir(filepath.Join(dir, "deploy"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".go") {
			return err
		}
		return files.add(dir, strings.TrimPrefix(name, dir+string(filepath.Separator)))
	})
	if err != nil {
		return nil, err
	}
	if err := files.addGenerated(binary); err != nil {
		return nil, err
	}
	files.link(v)
	return files, nil
}

func (c contents) add(dir, name string) error {
	content, err := os.ReadFile(filepath.Join(dir, name))
	c[filepath.ToSlash(name)] = content
	return err
}

// addGenerated adds manual pages and completion scripts.
func (c contents) addGenerated(binary string) error {
	manual, err := os.MkdirTemp("", "clerk-proxy-man-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(manual)
	if err := exec.Command(binary, "man", manual).Run(); err != nil {
		return err
	}
	pages, err := os.ReadDir(manual)
	if err != nil {
		return err
	}
	for _, page := range pages {
		if c["man/"+page.Name()], err = os.ReadFile(filepath.Join(manual, page.Name())); err != nil {
			return err
		}
	}
	for shell, name := range map[string]string{ // as the shells look for them
		"bash":       "clerk-proxy",
		"zsh":        "_clerk-proxy",
		"fish":       "clerk-proxy.fish",
		"powershell": "clerk-proxy.ps1",
	} {
		if c["completions/"+shell+"/"+name], err = exec.Command(binary, "completion", shell).Output(); err != nil {
			return err
		}
	}
	return nil
}

// A link of Markdown, or a picture in HTML, and where it leads.
var link = regexp.MustCompile(`(\]\(|(?:src|srcset)=")([^)"#\s]+)`)

// link has links to files that are not in the archive lead to the repository.
// Code that is shown stays as it is.
func (c contents) link(v version) {
	repository := "https://" + module + "/blob/" + cmp.Or(strings.TrimSuffix(v.revision, "+dirty"), "HEAD") + "/"
	for name, content := range c {
		if path.Ext(name) != ".md" {
			continue
		}
		var linked strings.Builder
		code := false
		for line := range strings.Lines(string(content)) {
			if strings.HasPrefix(line, "```") {
				code = !code
			}
			if !code {
				line = link.ReplaceAllStringFunc(line, func(found string) string {
					parts := link.FindStringSubmatch(found)
					target := path.Join(path.Dir(name), parts[2])
					if strings.Contains(parts[2], ":") || c.holds(target) {
						return found
					}
					return parts[1] + repository + target
				})
			}
			linked.WriteString(line)
		}
		c[name] = []byte(linked.String())
	}
}

// holds reports whether a file or directory is there.
func (c contents) holds(target string) bool {
	for name := range c {
		if name == target || strings.HasPrefix(name, target+"/") {
			return true
		}
	}
	return false
}
