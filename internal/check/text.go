package check

import (
	"strconv"
	"strings"
)

// maxQuote is how much is shown of something that came from outside.
const maxQuote = 160

// quoted is a text from outside in quotation marks, cut where it is long.
func quoted(s string) string {
	return strconv.QuoteToGraphic(cut(s))
}

func cut(s string) string {
	runes := []rune(strings.ToValidUTF8(s, "�"))
	if len(runes) > maxQuote {
		return string(runes[:maxQuote]) + "…"
	}
	return string(runes)
}

// listed is "a", "a and b", "a, b and c".
func listed(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " and " + items[last]
}

func stringsOf[T interface{ String() string }](items []T) []string {
	var all []string
	for _, item := range items {
		all = append(all, item.String())
	}
	return all
}
