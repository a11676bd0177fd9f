package check

import (
	"bytes"
	"cmp"
	"context"
	"strings"
)

// watched is what is noticed in passing, in every answer of the proxy's.
type watched struct {
	traces []string // the trace ids of Clerk's answers to askedTwice
	leak   string   // where a secret key was
}

// watch looks at an answer of the proxy's.
func (c *checker) watch(path string, a *answer) {
	path, _, _ = strings.Cut(path, "?")
	if path == askedTwice {
		c.watched.traces = append(c.watched.traces, cmp.Or(a.header.Get(headerTraceID), a.api().TraceID))
	}
	if c.watched.leak == "" {
		c.watched.leak = c.leakIn(path, a)
	}
}

// askedTwice is a path whose answer is for one visitor, so that nothing may keep
// it.
const askedTwice = "/v1/client"

// leakIn finds a secret key in an answer. In a body only the instance's own
// counts: an application's page may tell of others.
func (c *checker) leakIn(path string, a *answer) string {
	for name, values := range a.header {
		for _, value := range values {
			if name == "Clerk-Secret-Key" || secretKeys.MatchString(value) || c.SecretKey != "" && strings.Contains(value, c.SecretKey) {
				return "the header " + cut(name) + " of the answer to " + path
			}
		}
	}
	if c.SecretKey != "" && (bytes.Contains(a.plain, []byte(c.SecretKey)) || bytes.Contains(a.body, []byte(c.SecretKey))) {
		return "the answer to " + path
	}
	return ""
}

// caching tells whether something in front keeps answers that are for one
// visitor, and hands them to the next: Clerk gives each an id of its own.
func (c *checker) caching(context.Context) finding {
	traces := c.watched.traces
	switch {
	case len(traces) < 2 || traces[0] == "":
		return skip("Clerk's answers carry no id by which one would be known again")
	case traces[0] == traces[1]:
		return fail("the answer to "+askedTwice+" came twice: something in front keeps it, and one visitor gets another's",
			"have nothing keep answers under the path, but those under /npm/, and only as their Cache-Control says")
	}
	return ok("every answer is a fresh one")
}

// secrecy tells whether the secret key came back.
func (c *checker) secrecy(context.Context) finding {
	if c.watched.leak != "" {
		return fail("a secret key is in "+c.watched.leak+", for every visitor to read",
			"replace the key at once in the Clerk Dashboard, page API keys; then have the proxy set Clerk-Secret-Key on requests to Clerk, not on its answers (with nginx, proxy_set_header, not add_header)")
	}
	if c.blocked != "" {
		return skip(c.blocked)
	}
	return ok("no answer held a secret key")
}
