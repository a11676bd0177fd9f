package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var document = filepath.FromSlash("../../docs/conformance.md")

// checkDocument compares docs/conformance.md with what the test has seen, or
// writes it.
func (l *ledger) checkDocument(t *testing.T) {
	t.Helper()
	if len(l.run) != len(l.cases) || t.Failed() {
		if *update {
			t.Error("docs/conformance.md is written when all cases have run and passed")
		}
		return
	}
	want := l.document()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(document)
	if err != nil || string(got) != want {
		t.Error("docs/conformance.md is out of date; run: go test ./test/conformance -update")
	}
}

func (l *ledger) document() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Written by go test ./test/conformance -update; changes are made in test/conformance. -->

# Conformance with Clerk's JavaScript SDK

The same request bytes go through clerkproxy, through the `+"`frontendApiProxy` of `@clerk/express`"+` and through
`+"`clerkFrontendApiProxy` of `@clerk/backend/proxy`"+`, in front of one upstream that records what it receives and answers
the same bytes. What the upstream received and what the client received is compared, over raw connections.

%d requests: %d have the same result, %d a result that differs for one of the %d reasons below. The versions of the packages
are those of `+"`npm/package-lock.json`"+`. "Contract" names a row of [the forwarding contract](architecture.md#the-forwarding-contract).

## Differences

| difference | Clerk's SDK | why not here | against | requests |
| --- | --- | --- | --- | --- |
`, len(l.cases), len(l.cases)-l.different(), l.different(), len(differences))

	ids := map[string][]string{} // of the differences, by case
	for _, d := range differences {
		against := map[subject]bool{}
		cases := map[string]bool{}
		for _, p := range d.at {
			for _, who := range p.subjects() {
				against[who] = true
			}
			if !cases[p.testCase] {
				cases[p.testCase] = true
				ids[p.testCase] = append(ids[p.testCase], d.id)
			}
		}
		who := "both"
		if !against[backend] {
			who = "Express"
		} else if !against[express] {
			who = "backend"
		}
		fmt.Fprintf(&b, "| <a id=%q></a>%s | %s | %s | %s | %d |\n", d.id, d.id, d.theirs, d.reason, who, len(cases))
	}

	b.WriteString("\n## Requests\n\nWhat is claimed of every request holds for clerkproxy; behind it, where Clerk's SDK differs.\n")
	topic := ""
	for _, c := range l.cases {
		if c.topic != topic {
			topic = c.topic
			fmt.Fprintf(&b, "\n### %s\n\n", topic)
		}
		fmt.Fprintf(&b, "- %s", strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(c.name))
		for i, id := range ids[c.name] {
			separator := ", "
			if i == 0 {
				separator = " · "
			}
			fmt.Fprintf(&b, "%s[%s](#%s)", separator, id, id)
		}
		b.WriteString("\n")
	}
	return b.String()
}
