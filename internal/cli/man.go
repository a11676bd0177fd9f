package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCommand is for those who package the binary. Cobra's own generator goes
// through Markdown, where *.app.dev is emphasis, and leaves out what a flag takes.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages",
		Long:   "Man writes the manual pages, one for each command, into a directory, which it makes.",
		Hidden: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("write: %s DIRECTORY", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for _, documented := range append([]*cobra.Command{cmd.Root()}, documentedCommands(cmd.Root())...) {
				name := filepath.Join(args[0], pageName(documented)+".1")
				if err := os.WriteFile(name, []byte(manPage(documented)), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// documentedCommands are those with a page of their own.
func documentedCommands(root *cobra.Command) (all []*cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() && cmd.Name() != "completion" {
			all = append(all, cmd)
		}
	}
	return all
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is the manual page of a command, man(7). It has no date: the same
// version always has the same page.
func manPage(cmd *cobra.Command) string {
	page := &roff{}
	root := cmd.Root()
	page.line(".TH %s 1 \"\" \"clerk-proxy %s\" \"clerk-proxy\"", strings.ToUpper(pageName(cmd)), buildVersion().module)
	page.line(".SH NAME")
	page.line("%s \\- %s", escape(pageName(cmd)), escape(cmd.Short))
	page.line(".SH SYNOPSIS")
	if cmd == root {
		page.line(".B %s\n.I command\n.RI [ flags ]", escape(root.Name()))
	} else {
		page.line(".B %s", escape(cmd.CommandPath()))
		if arguments := strings.TrimPrefix(cmd.Use, cmd.Name()); arguments != "" {
			page.line("%s", escape(strings.TrimSpace(arguments)))
		}
		page.line(".RI [ flags ]")
	}
	page.line(".SH DESCRIPTION")
	page.prose(cmp.Or(cmd.Long, cmd.Short+"."))
	if cmd == root {
		page.line(".SH COMMANDS")
		for _, child := range documentedCommands(root) {
			page.line(".TP\n.BR %s (1)\n%s", escape(pageName(child)), escape(child.Short))
		}
		page.line(".TP\n.B %s completion\n%s", escape(root.Name()), escape("Write the completion script of a shell: bash, fish, powershell or zsh"))
	}
	page.flags(cmd)
	if cmd.Example != "" {
		page.line(".SH EXAMPLES")
		page.verbatim(cmd.Example)
	}
	page.line(".SH SEE ALSO")
	var others []string
	for _, other := range append([]*cobra.Command{root}, documentedCommands(root)...) {
		if other != cmd {
			others = append(others, ".BR "+escape(pageName(other))+" (1)")
		}
	}
	page.line("%s", strings.Join(others, ",\n"))
	return page.String()
}

// roff is a page that is being written.
type roff struct{ strings.Builder }

func (r *roff) line(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

// prose writes paragraphs. Those that are indented stay as they are.
func (r *roff) prose(text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			r.line(".PP")
		}
		if strings.HasPrefix(paragraph, "  ") {
			r.verbatim(paragraph)
		} else {
			r.line("%s", escape(paragraph))
		}
	}
}

func (r *roff) verbatim(text string) { r.line(".EX\n%s\n.EE", escape(text)) }

// flags writes what a command's flags mean, and the variables that stand for them.
func (r *roff) flags(cmd *cobra.Command) {
	r.line(".SH OPTIONS")
	cmd.InitDefaultHelpFlag()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		takes, usage := pflag.UnquoteUsage(f)
		name := "\\fB" + escape("--"+f.Name) + "\\fR"
		if f.Shorthand != "" {
			name = "\\fB" + escape("-"+f.Shorthand) + "\\fR, " + name
		}
		if takes != "" {
			name += " \\fI" + escape(takes) + "\\fR"
		}
		usage, _, _ = strings.Cut(usage, " [$")
		switch f.DefValue {
		case "", "false", "0s", "[]": // said in words, if at all
		default:
			usage += fmt.Sprintf(" (default %s)", strings.Trim(f.DefValue, "[]"))
		}
		r.line(".TP\n%s\n%s", name, escape(usage))
		for _, variable := range f.Annotations[environmentVariables] {
			r.line(".br\n[$%s]", escape(variable))
		}
	})
}

var roffEscapes = strings.NewReplacer(`\`, `\(rs`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// escape has a text stand on a page as it is: no character in it means anything
// to roff, at the beginning of a line neither.
func escape(text string) string {
	text = strings.ReplaceAll("\n"+roffEscapes.Replace(text), "\n.", "\n\\&.")
	return text[1:]
}
