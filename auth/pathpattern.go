package auth

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A pathPattern is a pattern in the syntax of path-to-regexp 6.
type pathPattern struct {
	re    *regexp.Regexp
	names []string // of the groups, in order; empty for those without
}

func (p pathPattern) match(path string) (params map[string]string, ok bool) {
	m := p.re.FindStringSubmatchIndex(path)
	if m == nil {
		return nil, false
	}
	params = make(map[string]string, len(p.names))
	for i, name := range p.names {
		if from := m[2*i+2]; from >= 0 && name != "" {
			params[name] = path[from:m[2*i+3]]
		}
	}
	return params, true
}

// maxPatternBytes bounds what is compiled.
const maxPatternBytes = 1 << 10

func compilePathPattern(pattern string) (pathPattern, error) {
	if len(pattern) > maxPatternBytes {
		return pathPattern{}, errors.New("is too long")
	}
	c := patternCompiler{in: pattern}
	if err := c.compile(); err != nil {
		return pathPattern{}, err
	}
	re, err := regexp.Compile("(?i)^" + c.out.String() + "[/#?]?$")
	if err != nil {
		return pathPattern{}, err
	}
	if re.NumSubexp() != len(c.names) {
		return pathPattern{}, errors.New("has a group that captures; write (?:…)")
	}
	return pathPattern{re, c.names}, nil
}

// A patternCompiler turns a pattern into a regular expression, in one pass.
type patternCompiler struct {
	in    string
	out   strings.Builder
	names []string
	text  string // before pos, and not yet in out
	// What precedes pos in out is a parameter, or the last text written.
	afterParam bool
	lastText   string
}

func (c *patternCompiler) compile() error {
	for c.in != "" {
		switch ch := c.in[0]; {
		case ch == ':' || ch == '(':
			if err := c.param(""); err != nil {
				return err
			}
		case ch == '{':
			if err := c.group(); err != nil {
				return err
			}
		case ch == '\\':
			if len(c.in) == 1 {
				return errors.New("ends in a backslash")
			}
			c.text, c.in = c.text+c.in[1:2], c.in[2:]
		case ch == '*' || ch == '+' || ch == '?' || ch == '}':
			return fmt.Errorf("has a %q that belongs to nothing", ch)
		case len(c.in) > 1 && (c.in[1] == ':' || c.in[1] == '('):
			// A slash or a dot before a parameter goes with it, so that it is
			// optional together with it.
			c.in = c.in[1:]
			prefix := string(ch)
			if ch != '/' && ch != '.' {
				c.text, prefix = c.text+prefix, ""
			}
			if err := c.param(prefix); err != nil {
				return err
			}
		default:
			c.text, c.in = c.text+c.in[:1], c.in[1:]
		}
	}
	c.flush()
	return nil
}

func (c *patternCompiler) flush() {
	if c.text == "" {
		return
	}
	c.out.WriteString(regexp.QuoteMeta(c.text))
	c.lastText, c.text, c.afterParam = c.text, "", false
}

// param reads :name, (expression), or both, and a modifier.
func (c *patternCompiler) param(prefix string) error {
	c.flush()
	name, expression, err := c.nameAndExpression()
	if err != nil {
		return err
	}
	if expression == "" {
		if expression, err = c.standard(prefix); err != nil {
			return err
		}
	}
	return c.write(name, expression, prefix, "")
}

// group reads {prefix:name(expression)suffix} and a modifier.
func (c *patternCompiler) group() error {
	c.flush()
	c.in = c.in[1:]
	prefix := c.literal()
	name, expression, err := c.nameAndExpression()
	if err != nil {
		return err
	}
	suffix := c.literal()
	if !strings.HasPrefix(c.in, "}") {
		return errors.New("has a { without its }")
	}
	c.in = c.in[1:]
	if name != "" && expression == "" {
		if expression, err = c.standard(prefix); err != nil {
			return err
		}
	}
	return c.write(name, expression, prefix, suffix)
}

func (c *patternCompiler) literal() string {
	var text strings.Builder
	for c.in != "" && !strings.ContainsRune(":({}*+?", rune(c.in[0])) {
		if c.in[0] == '\\' && len(c.in) > 1 {
			c.in = c.in[1:]
		}
		text.WriteByte(c.in[0])
		c.in = c.in[1:]
	}
	return text.String()
}

func (c *patternCompiler) nameAndExpression() (name, expression string, err error) {
	if strings.HasPrefix(c.in, ":") {
		rest := strings.TrimLeft(c.in[1:], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
		name, c.in = c.in[1:len(c.in)-len(rest)], rest
		if name == "" {
			return "", "", errors.New("has a : without a name")
		}
	}
	if !strings.HasPrefix(c.in, "(") {
		return name, "", nil
	}
	depth := 0
	for i := 0; i < len(c.in); i++ {
		switch c.in[i] {
		case '\\':
			i++
		case '(':
			if depth++; depth > 1 && !strings.HasPrefix(c.in[i:], "(?") {
				return "", "", errors.New("has a group that captures; write (?:…)")
			}
		case ')':
			if depth--; depth == 0 {
				expression, c.in = c.in[1:i], c.in[i+1:]
				if expression == "" || expression[0] == '?' {
					return "", "", errors.New("has an empty expression, or one that begins with ?")
				}
				return name, expression, nil
			}
		}
	}
	return "", "", errors.New("has a ( without its )")
}

// standard is the expression of a parameter that has none: up to the next
// slash, or up to the text that it is told apart by.
func (c *patternCompiler) standard(prefix string) (string, error) {
	before := prefix
	if before == "" && !c.afterParam {
		before = c.lastText
	}
	switch {
	case before == "" && c.afterParam:
		return "", errors.New("needs text between two parameters")
	case before == "" || strings.ContainsAny(before, "/#?"):
		return "[^/#?]+?", nil
	case len(before) == 1:
		return "[^/#?" + regexp.QuoteMeta(before) + "]+?", nil
	default:
		return "", fmt.Errorf("has a parameter after %q; give it an expression, such as :slug([^/]+)", before)
	}
}

func (c *patternCompiler) write(name, expression, prefix, suffix string) error {
	modifier := ""
	if c.in != "" && strings.ContainsRune("*+?", rune(c.in[0])) {
		modifier, c.in = c.in[:1], c.in[1:]
	}
	before, after := regexp.QuoteMeta(prefix), regexp.QuoteMeta(suffix)
	repeats := modifier == "*" || modifier == "+"
	switch {
	case repeats && (name == "id" || name == "slug"):
		return errors.New("names several organizations: :id and :slug cannot repeat")
	case expression == "":
		fmt.Fprintf(&c.out, "(?:%s%s)%s", before, after, modifier)
	case repeats && before+after == "":
		return errors.New("repeats a parameter that has nothing around it")
	case repeats:
		fmt.Fprintf(&c.out, "(?:%[1]s((?:%[2]s)(?:%[3]s%[1]s(?:%[2]s))*)%[3]s)%[4]s",
			before, expression, after, map[string]string{"*": "?"}[modifier])
	default:
		fmt.Fprintf(&c.out, "(?:%s(%s)%s)%s", before, expression, after, modifier)
	}
	if expression != "" {
		c.names = append(c.names, name)
	}
	c.afterParam, c.lastText = true, ""
	return nil
}
