package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// version is what the source says of itself. Its fields are empty, and its time
// is the epoch, where nothing is known.
type version struct {
	name     string // v1.2.3, or v1.2.3-4-g0123456 for the fourth commit after it
	revision string // with +dirty at the end when files were changed since
	time     time.Time
}

// String is for names of files.
func (v version) String() string {
	if v.name == "" && v.revision != "" {
		return "devel-" + v.revision[:min(12, len(v.revision))]
	}
	return cmp.Or(v.name, "devel")
}

// versionOf looks at a checkout, or else at version.txt, in which git archive puts
// what the checkout says.
func versionOf(dir string) (version, error) {
	if _, err := os.Stat(filepath.Join(dir, ".git")); errors.Is(err, os.ErrNotExist) {
		return archived(dir)
	}
	git := func(args ...string) (string, error) {
		command := exec.Command("git", args...)
		command.Dir = dir
		said, err := command.Output()
		if failed, is := errors.AsType[*exec.ExitError](err); is {
			err = fmt.Errorf("git %s: %w: %s", args[0], err, failed.Stderr)
		}
		return strings.TrimSpace(string(said)), err
	}
	said, err := git("log", "-1", "--format=%H%n%ct")
	if err != nil {
		return version{}, err
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return version{}, err
	}
	name, _ := git("describe", "--tags", "--match", "v*") // there may be no tag
	v, err := parse(said + "\n" + name)
	if changed != "" {
		v.revision += "+dirty"
		if v.name != "" {
			v.name += "+dirty"
		}
	}
	return v, err
}

func archived(dir string) (version, error) {
	content, err := os.ReadFile(filepath.Join(dir, "version.txt"))
	if err != nil || strings.HasPrefix(string(content), "$Format") { // neither a checkout nor an archive
		return version{time: time.Unix(0, 0)}, err
	}
	return parse(string(content))
}

// parse reads a revision, its time and the version's name, one a line.
func parse(lines string) (version, error) {
	fields := append(strings.Split(lines, "\n"), "", "")
	seconds, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return version{}, fmt.Errorf("the time of the revision: %w", err)
	}
	return version{revision: fields[0], time: time.Unix(seconds, 0), name: fields[2]}, nil
}
