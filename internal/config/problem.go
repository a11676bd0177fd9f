package config

import (
	"fmt"
	"strings"
)

// A Problem is one thing that is wrong with a configuration, or, of warnings,
// that may be.
type Problem struct {
	// Key is what it is about, such as sites[0].app_timeout.
	Key string
	// Text says what is wrong and what to write instead. It follows the key:
	// "is missing; …".
	Text string

	line int // of the file; 0: that of the key
}

// siteKey is the key of a site's field.
func siteKey(i int, field string) string { return fmt.Sprintf("sites[%d].%s", i, field) }

// lines are where keys stand in a file, counted from 1.
type lines map[string]int

// of returns the line of a key, or of what it would stand in if it were there.
func (l lines) of(key string) int {
	for key != "" {
		if line, ok := l[key]; ok {
			return line
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 1
}
