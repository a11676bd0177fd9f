package check

import (
	"context"
	"fmt"
	"net/http"
)

// posts sends what ClerkJS sends for a PATCH: a POST that names the method in
// its query. Then it sends a body that cannot be parsed: the refusal shows that
// the body arrived, and nothing comes of it.
func (c *checker) posts(ctx context.Context) finding {
	const path = "/v1/environment?_method=PATCH"
	header := map[string]string{
		"Content-Type": "application/x-www-form-urlencoded",
		"Origin":       c.target.Scheme + "://" + c.target.Host,
	}
	a, err := c.proxy.ask(ctx, http.MethodPost, path, "", header)
	if err != nil {
		return transportProblem(err)
	}
	direct := c.direct(ctx, http.MethodPost, path, "", header)
	switch {
	case a.code() == codeHostInvalid:
		return skip("Clerk answers POSTs once the proxy URL is set")
	case !a.fromClerk():
		return fail("a POST does not reach Clerk: "+a.describe(), "let every method through: GET, POST, PUT, PATCH, DELETE, OPTIONS and HEAD")
	case a.code() == codeMethod && (direct == nil || direct.code() != codeMethod):
		return fail("a POST arrives, but not the _method in its query", "forward what follows the question mark as it is")
	case a.status != http.StatusOK && (direct == nil || direct.status != a.status):
		return skip("Clerk answers a POST with " + a.describe() + ", which tells nothing of the proxy")
	}

	const malformed = "clerk_proxy_check=%"
	b, err := c.proxy.ask(ctx, http.MethodPost, path, malformed, header)
	if err != nil {
		return transportProblem(err)
	}
	if b.code() == codeMalformed {
		return ok("POSTs arrive, with _method and with their bodies")
	}
	if direct := c.direct(ctx, http.MethodPost, path, malformed, header); direct != nil && direct.code() == codeMalformed {
		return fail(fmt.Sprintf("a POST arrives without its body: Clerk refuses a malformed one, but answers %d through the proxy", b.status), "forward the body, with its length or in chunks")
	}
	return ok("POSTs arrive, with _method; whether their bodies do, cannot be seen")
}
