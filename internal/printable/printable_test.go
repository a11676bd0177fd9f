package printable

import "testing"

func TestALineDoesNothingToATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"as it is: ä, 日本, “quoted”":           "as it is: ä, 日本, “quoted”",
		"two\nlines\tand \x1b[31mred\x07":     "two lines and [31mred",
		"one byte \u009b31m, another \x9b31m": "one byte 31m, another \ufffd31m",
		"right to left \u202ereversed":        "right to left reversed",
		"back\rand\bforth\x7f":                "backandforth",
	} {
		if got := Line(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
