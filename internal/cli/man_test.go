package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command and every flag with its variable is in the manual, and no text is
// taken for roff.
func TestManualPages(t *testing.T) {
	root := newRootCommand()
	commands := append([]*cobra.Command{root}, documentedCommands(root)...)
	if len(commands) < 10 {
		t.Fatalf("there are %d commands", len(commands))
	}
	macros := map[string]bool{".TH": true, ".SH": true, ".PP": true, ".TP": true, ".EX": true, ".EE": true, ".B": true, ".I": true, ".RI": true, ".BR": true, ".br": true}
	for _, cmd := range commands {
		t.Run(pageName(cmd), func(t *testing.T) {
			page := manPage(cmd)
			for line := range strings.Lines(page) {
				macro, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				if strings.HasPrefix(line, ".") && !macros[macro] || strings.HasPrefix(line, "'") {
					t.Errorf("roff takes this for a macro: %s", line)
				}
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if !strings.Contains(page, escape("--"+f.Name)+`\fR`) {
					t.Errorf("--%s is not there", f.Name)
				}
				for _, variable := range f.Annotations[environmentVariables] {
					if !strings.Contains(page, "[$"+variable+"]") {
						t.Errorf("%s is not there", variable)
					}
				}
			})
			for _, other := range commands[1:] {
				if !strings.Contains(page, escape(pageName(other))) {
					t.Errorf("%s is not named", pageName(other))
				}
			}
		})
	}
}

func TestTextIsEscapedForRoff(t *testing.T) {
	for text, want := range map[string]string{
		"--app":                `\-\-app`,
		".env and .profile":    `\&.env and .profile`,
		"read\n.env":           "read\n\\&.env",
		"'quoted' `code` a\\n": `\(aqquoted\(aq \(gacode\(ga a\(rsn`,
		"~ ^":                  `\(ti \(ha`,
	} {
		if got := escape(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
