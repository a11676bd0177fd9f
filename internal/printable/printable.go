// Package printable makes text that came from outside fit to be shown: to people
// at a terminal, on a page, or in a log.
package printable

import (
	"strings"
	"unicode"
)

// Line is a text in one line, without what a terminal takes for an instruction:
// control characters, those of ISO 6429 with one byte too, and marks that turn
// around the direction of writing. Line breaks and tabs become blanks.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, s)
}
