package tracing

import "strings"

const (
	maxSegments = 12
	maxWord     = 40
)

// withoutIDs is a path of the Frontend API in which {id} stands for all that is
// not a plain word: whom a session or a sign-in belongs to is nobody's business
// who looks at a trace. What is below /npm/ is public, and stays.
func withoutIDs(path string) string {
	if before, _, ok := strings.Cut(path, "/npm/"); ok && !strings.Contains(before, "/v1") {
		return path
	}
	segments := strings.Split(path, "/")
	if len(segments) > maxSegments {
		segments = append(segments[:maxSegments:maxSegments], "…")
	}
	for i, s := range segments {
		if !isWord(s) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}

// isWord reports whether a segment is one of an API's own: lower case, without a
// digit but for that of the version.
func isWord(s string) bool {
	if len(s) > maxWord {
		return false
	}
	return s == "v1" || s == "…" || !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && c != '_' && c != '-' && c != '.'
	})
}
