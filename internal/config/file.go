package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// parse reads a file's content into a configuration that holds the defaults.
// Names of files in it are relative to dir. The lines are nil when there is
// nothing that could be read.
func parse(content []byte, dir string, c *Config) (lines, []Problem) {
	var document yaml.Node
	if err := yaml.Load(content, &document); err != nil {
		return nil, []Problem{notYAML(err)}
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return nil, []Problem{{Text: "has no keys; begin it with a line such as listen: 127.0.0.1:8080", line: document.Content[0].Line}}
	}
	r := reader{dir: dir, lines: lines{}}
	r.mapping(document.Content[0], "", reflect.ValueOf(c).Elem())
	return r.lines, r.problems
}

// notYAML is the one problem of a file that is not one document.
func notYAML(err error) Problem {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok || e.Mark.Line == 0 {
		return Problem{Text: "is not one YAML document in UTF-8; write one, that begins with a line such as listen: 127.0.0.1:8080"}
	}
	text := "is not YAML: " + e.Message
	if e.ContextMsg != "" {
		text += " " + e.ContextMsg
	}
	switch {
	case strings.Contains(text, "anchor"):
		text += "; what begins with an asterisk needs quotes, such as \"*.app.dev\""
	case strings.Contains(text, "cannot start any token"):
		text += "; indent with blanks, not with tabs, and put what begins with @ or ` in quotes"
	default:
		text += "; look at the indentation of this line and the one before, whether quotes and brackets are closed, and put a value with a colon and a blank in it in quotes"
	}
	return Problem{Text: text, line: e.Mark.Line}
}

// A reader reads YAML into structs, by their tags. It is stricter than a library:
// every value has to be written as what it is, and nothing twice.
type reader struct {
	dir      string
	lines    lines
	problems []Problem
}

func (r *reader) fail(key, format string, args ...any) {
	r.problems = append(r.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// mapping reads keys and values into a struct.
func (r *reader) mapping(n *yaml.Node, key string, v reflect.Value) {
	fields := fieldsOf(v)
	if n.Kind != yaml.MappingNode {
		r.fail(key, "has no keys; write lines such as %s: …", fields[0].key)
		return
	}
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], resolve(n.Content[i+1])
		fieldKey := strings.TrimPrefix(key+"."+name.Value, ".")
		if line := seen[name.Value]; line > 0 {
			r.problems = append(r.problems, Problem{fieldKey, fmt.Sprintf("is there twice, first in line %d; leave one of them out", line), name.Line})
			continue
		}
		seen[name.Value], r.lines[fieldKey] = name.Line, name.Line
		if f, ok := find(fields, name.Value); ok {
			r.value(value, fieldKey, f)
		} else {
			r.fail(fieldKey, "%s", unknownKey(name.Value, v.Type()))
		}
	}
}

// value reads what stands behind a key, or in a list.
func (r *reader) value(n *yaml.Node, key string, f field) {
	switch v := f.value; {
	case n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!null" || n.Value == ""):
		r.fail(key, "is empty; give it a value or leave it out")
	case v.Kind() == reflect.Struct:
		r.mapping(n, key, v)
	case v.Kind() == reflect.Slice:
		r.list(n, key, v)
	case n.Kind != yaml.ScalarNode:
		r.fail(key, "is a list, or has keys below it; write one value")
	case v.Kind() == reflect.Bool:
		if n.ShortTag() != "!!bool" {
			r.fail(key, "%q is neither true nor false; write one of them, without quotes", n.Value)
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case v.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(n.Value)
		if err != nil {
			r.fail(key, "%q is not a duration; write one such as 30s", n.Value)
			return
		}
		v.SetInt(int64(d))
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!int": // what YAML takes for something else was meant to be something else
		r.fail(key, "is not text; if it is meant to be, write it in quotes: %q", n.Value)
	case f.isFile && !filepath.IsAbs(n.Value):
		v.SetString(filepath.Join(r.dir, n.Value))
	default:
		v.SetString(n.Value)
	}
}

// list reads a list of texts, or one text without the list, or a list of structs.
func (r *reader) list(n *yaml.Node, key string, v reflect.Value) {
	ofTexts := v.Type().Elem().Kind() == reflect.String
	items := n.Content
	switch {
	case n.Kind == yaml.ScalarNode && ofTexts:
		items = []*yaml.Node{n}
	case n.Kind != yaml.SequenceNode:
		r.fail(key, "is not a list; begin each item with a dash and a space")
		return
	case len(items) == 0:
		r.fail(key, "is an empty list; give it a value or leave it out")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		itemKey := fmt.Sprintf("%s[%d]", key, i)
		r.lines[itemKey] = item.Line
		if s, ok := v.Index(i).Addr().Interface().(interface{ setDefaults() }); ok {
			s.setDefaults()
		}
		r.value(resolve(item), itemKey, field{value: v.Index(i)})
	}
}

// resolve follows an alias to what it stands for. How deep the structs are bounds
// how far an alias can lead, also one that leads to itself.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// A field is that of a struct, with what its tag says.
type field struct {
	key    string
	value  reflect.Value
	isFile bool // it names a file
}

func fieldsOf(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		key, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		all = append(all, field{key, v.Field(i), option == "file"})
	}
	return all
}

func find(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}
