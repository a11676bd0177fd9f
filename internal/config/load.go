package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/server"
)

// A Source is where a configuration comes from, again and again.
type Source struct {
	// File is the name of a configuration file. Empty: Flags say everything.
	File string
	// Flags is what flags and environment variables say. With a File, of which
	// they go before, only the keys in Given count.
	Flags Config
	Given []string
	// FlagOf names the flag of a key, for people to read, as the beginning of
	// what is wrong with it: "--app: ". It is empty for a key without one.
	FlagOf func(key string) string
	// Getenv reads the variables that secret_key_env names.
	Getenv func(string) string
}

// Loaded is a configuration that is good.
type Loaded struct {
	// Config is what is in effect, with defaults filled in.
	Config Config
	// Server is what it means.
	Server server.Config
	// Warnings are for an operator to read.
	Warnings []string

	located func([]Problem) []error
}

// Explain says of what is found to be wrong only when Server is made use of, such as
// a directory that cannot be made, where it is configured.
func (l Loaded) Explain(err error) error {
	if l.located == nil {
		return err
	}
	var errs []error
	for _, each := range server.Problems(err) {
		b := builder{config: &l.Config}
		b.explain(each)
		if len(b.problems) > 0 && b.problems[0].Key != "" {
			errs = append(errs, l.located(b.problems)...)
			continue
		}
		errs = append(errs, each)
	}
	return errors.Join(errs...)
}

// Load reads the configuration, and the files that it names. Its error joins
// every problem there is, each with where it is. Files are those that were read,
// also when there is an error.
func (s *Source) Load() (loaded Loaded, files *Files, err error) {
	files = new(Files)
	b := builder{config: &loaded.Config, files: files, getenv: s.Getenv, failed: map[string]bool{}}
	var at lines
	var misread []Problem
	if s.File == "" {
		loaded.Config = s.Flags.clone()
	} else {
		loaded.Config = Default()
		if at, misread, err = s.readFile(&b); err != nil {
			return Loaded{}, files, err
		}
	}
	loaded.Server = b.server()
	b.explain(server.Check(loaded.Server))
	b.watchRejected()
	if problems := append(misread, others(b.problems, misread)...); len(problems) > 0 {
		return Loaded{}, files, errors.Join(s.located(problems, at)...)
	}
	loaded.located = func(problems []Problem) []error { return s.located(problems, at) }
	b.warnLacking(loaded.Server.TLS)
	for _, warning := range s.located(b.warnings, at) {
		loaded.Warnings = append(loaded.Warnings, warning.Error())
	}
	return loaded, files, nil
}

// readFile reads the file, and what flags say in its place. Its problems are
// those of single keys; its error is that there is nothing to go on with.
func (s *Source) readFile(b *builder) (lines, []Problem, error) {
	name, err := filepath.Abs(s.File)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.File, err)
	}
	content, _, err := b.files.open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", s.File, err)
	}
	at, problems := parse(content, filepath.Dir(name), b.config)
	if at == nil {
		return nil, nil, errors.Join(s.located(problems, nil)...)
	}
	for _, key := range s.Given {
		fieldAt(b.config, key).Set(fieldAt(&s.Flags, key))
	}
	return at, problems, nil
}

// others are the problems that do not follow from those before: what could not be
// read is not missing.
func others(problems, before []Problem) []Problem {
	return slices.DeleteFunc(problems, func(p Problem) bool {
		return slices.ContainsFunc(before, func(b Problem) bool { return isWithin(p.Key, b.Key) || isWithin(b.Key, p.Key) })
	})
}

// isWithin reports whether a key is another one, or below it.
func isWithin(key, of string) bool {
	rest, ok := strings.CutPrefix(key, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// located says of each problem where it is, those of a file from top to bottom.
func (s *Source) located(problems []Problem, at lines) (errs []error) {
	for i, p := range problems {
		if p.line == 0 {
			problems[i].line = at.of(p.Key)
		}
	}
	if s.File != "" {
		slices.SortStableFunc(problems, func(a, b Problem) int { return a.line - b.line })
	}
	for _, p := range problems {
		where := fmt.Sprintf("%s:%d: %s: ", s.File, p.line, p.Key)
		given := slices.ContainsFunc(s.Given, func(key string) bool { return isWithin(p.Key, key) })
		switch {
		case s.File == "" || given:
			where = s.FlagOf(p.Key)
		case p.Key == "":
			where = fmt.Sprintf("%s:%d: ", s.File, p.line)
		}
		errs = append(errs, errors.New(where+p.Text))
	}
	return errs
}

// fieldAt finds a field that is not below sites.
func fieldAt(c *Config, key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for name := range strings.SplitSeq(key, ".") {
		f, ok := find(fieldsOf(v), name)
		if !ok {
			panic("config: there is no key " + key)
		}
		v = f.value
	}
	return v
}

// clone is a copy whose sites can be changed.
func (c Config) clone() Config {
	c.Sites = append([]Site(nil), c.Sites...)
	return c
}
