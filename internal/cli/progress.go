package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/check"
)

// progress shows a check while it runs: a line a step, on a terminal with the
// step under way below the others.
type progress struct {
	out      io.Writer
	terminal bool
	colour   bool   // https://no-color.org
	skipped  string // why the step before was, if it was
}

func newProgress(out io.Writer) *progress {
	terminal := isTerminal(out) && os.Getenv("TERM") != "dumb"
	return &progress{out: out, terminal: terminal, colour: terminal && os.Getenv("NO_COLOR") == ""}
}

func (p *progress) start(name string) {
	if p.terminal {
		fmt.Fprintf(p.out, "  …     %s", name)
	}
}

// clear takes the step under way off the terminal.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// The columns of a line. Text is wrapped on terminals alone: elsewhere a line is
// a line, for grep.
const (
	textColumn = 21
	lastColumn = 80
)

// step shows a step. Of those in a row that are skipped for one reason, such as
// a proxy that cannot be reached, the first stands for all.
func (p *progress) step(s check.Step) {
	p.clear()
	why := ""
	if s.Status == check.Skipped {
		why = s.Seen
	}
	again := why != "" && why == p.skipped
	p.skipped = why
	if again {
		return
	}
	mark := map[check.Status]string{check.OK: "ok", check.Warn: "warn", check.Fail: "FAIL", check.Skipped: "skip"}[s.Status]
	colour := map[check.Status]string{check.OK: "32", check.Warn: "33", check.Fail: "31", check.Skipped: "2"}[s.Status]
	fmt.Fprintf(p.out, "  %s  %-*s%s\n", p.in(colour, fmt.Sprintf("%-4s", mark)), textColumn-8, s.Name, p.wrapped(s.Seen))
	if s.Advice != "" {
		fmt.Fprintf(p.out, "%*s%s\n", textColumn, "→ ", p.wrapped(s.Advice))
	}
}

func (p *progress) in(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *progress) wrapped(text string) string {
	if !p.terminal {
		return text
	}
	var b strings.Builder
	column := textColumn
	for i, word := range strings.Fields(text) {
		width := len([]rune(word))
		switch {
		case i == 0:
		case column+1+width > lastColumn:
			fmt.Fprintf(&b, "\n%*s", textColumn, "")
			column = textColumn
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += width
	}
	return b.String()
}

func (p *progress) summary(r check.Report) {
	verdict := "works"
	switch {
	case r.Status == check.Fail:
		verdict = "is not as it should be"
	case !r.Enabled && r.DomainID == "":
		verdict = "reaches Clerk, and only the secret key could tell more"
	case !r.Enabled:
		verdict = "is ready to be set at Clerk"
	}
	var counts []string
	for _, each := range []struct {
		status check.Status
		name   string
	}{{check.Fail, "failed"}, {check.Warn, "with a warning"}, {check.Skipped, "skipped"}} {
		if n := r.Count(each.status); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, each.name))
		}
	}
	fmt.Fprintf(p.out, "\n  %s %s: of %d steps, %s.\n", r.ProxyURL, verdict, len(r.Steps), cmp.Or(strings.Join(counts, ", "), "all went well"))
}
