package check

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// cookies asks what every page asks first, whether somebody is signed in. Clerk
// answers a visitor with more than one cookie.
func (c *checker) cookies(ctx context.Context) finding {
	a, err := c.proxy.get(ctx, askedTwice, nil)
	if err != nil {
		return transportProblem(err)
	}
	_, _ = c.proxy.get(ctx, askedTwice, nil) // a cache in front would be noticed: see caching

	lines := a.header.Values("Set-Cookie")
	const advice = "pass on every Set-Cookie as a line of its own: they cannot be joined with commas (RFC 6265 §3), and a map or object of headers keeps but one"
	if i := slices.IndexFunc(lines, folded.MatchString); i >= 0 {
		return fail("several cookies arrive in one Set-Cookie, of which browsers keep the first: "+listed(foldedNames(lines[i])), advice)
	}
	names := cookieNames(lines)
	if lost := c.lostCookies(ctx, a, names); len(lost) > 0 {
		if len(names) == 0 {
			return fail("no cookie arrives, though Clerk sets "+listed(lost)+": nobody can sign in", "pass on Set-Cookie; content delivery networks and caches drop it unless told otherwise")
		}
		return fail("of several cookies only "+listed(names)+" arrives; "+listed(lost)+" is lost", advice)
	}
	switch {
	case len(names) > 1:
		return ok(fmt.Sprintf("%d cookies arrive, each on its own: %s", len(names), listed(names)))
	case a.code() == codeHostInvalid:
		return skip("Clerk sets cookies once the proxy URL is set")
	}
	return skip("Clerk sets no more than one cookie here, or the rest is lost; the secret key would tell, by a comparison")
}

// folded is a Set-Cookie that goes on with another cookie of Clerk's, or of
// Cloudflare's in front of it. A comma alone says nothing: dates have one.
var folded = regexp.MustCompile(`,\s*(__client|__session|__refresh|__clerk|__cf|_cf)[A-Za-z0-9_-]*=`)

func foldedNames(line string) []string {
	names := cookieNames([]string{line})
	for _, found := range folded.FindAllString(line, -1) {
		names = append(names, strings.Trim(found, ", ="))
	}
	return names
}

// cookieNames are the names alone: values are somebody's.
func cookieNames(lines []string) (names []string) {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, cut(strings.TrimSpace(name)))
	}
	return names
}

// lostCookies are those of Clerk's own that it sets when it is asked directly,
// and that do not arrive through the proxy. Those of what is in front of Clerk
// are set now and then.
func (c *checker) lostCookies(ctx context.Context, through *answer, names []string) (lost []string) {
	if through.status != http.StatusOK {
		return nil
	}
	direct := c.direct(ctx, http.MethodGet, askedTwice, "", nil)
	if direct == nil || direct.status != http.StatusOK {
		return nil
	}
	for _, name := range cookieNames(direct.header.Values("Set-Cookie")) {
		if (strings.HasPrefix(name, "__client") || strings.HasPrefix(name, "__clerk")) && !slices.Contains(names, name) {
			lost = append(lost, name)
		}
	}
	return lost
}

// direct asks the Frontend API as a proxy would. It returns nil where that is
// not possible.
func (c *checker) direct(ctx context.Context, method, path, body string, header map[string]string) *answer {
	if c.secret == "" {
		return nil
	}
	all := map[string]string{"Clerk-Proxy-Url": c.report.ProxyURL, "Clerk-Secret-Key": c.secret}
	if c.healthy != nil && c.healthy.address().IsValid() {
		all["X-Forwarded-For"] = c.healthy.address().String()
	}
	for name, value := range header {
		all[name] = value
	}
	a, err := c.clerk.ask(ctx, method, path, body, all)
	if err != nil {
		return nil
	}
	return a
}
