package check

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// health is what Clerk says of a request that came through the proxy.
type health struct {
	*answer
	Status       string `json:"status"`
	Message      string `json:"message"`
	ForwardedFor string `json:"x_forwarded_for"`
}

// address is the one that Clerk takes for the visitor's: the first.
func (h *health) address() netip.Addr {
	first, _, _ := strings.Cut(h.ForwardedFor, ",")
	addr, _ := forwarded.ParseAddr(first)
	return addr
}

func (h *health) isHealthy() bool {
	return h.answer.status == http.StatusOK && h.Status == "healthy"
}

// askHealth asks Clerk through the proxy what it sees of the proxy.
func (c *checker) askHealth(ctx context.Context, header map[string]string) (*health, error) {
	a, err := c.proxy.get(ctx, "/v1/proxy-health?domain_id="+url.QueryEscape(c.report.DomainID), header)
	if err != nil {
		return nil, err
	}
	h := &health{answer: a}
	_ = json.Unmarshal(a.plain, h) // whatever is not this JSON is not healthy
	return h, nil
}

// health asks what Clerk asks before it accepts a proxy URL.
func (c *checker) health(ctx context.Context) finding {
	if c.report.DomainID == "" {
		return skip("the domain is not known; give the secret key, or the domain's id")
	}
	h, err := c.askHealth(ctx, nil)
	if err != nil {
		return transportProblem(err)
	}
	if h.isHealthy() {
		c.healthy = h
		return ok("Clerk finds the proxy healthy")
	}
	if f, known := c.clerkError(h.code()); known {
		return f
	}
	switch {
	case h.Message != "":
		return fail("Clerk finds the proxy unhealthy: "+quoted(h.Message),
			"the proxy must send Clerk-Proxy-Url: "+c.report.ProxyURL+" to the letter, Clerk-Secret-Key, and the visitor's address as X-Forwarded-For")
	case !h.fromClerk() && h.Status == "":
		return fail("not Clerk answers here, though it does elsewhere under the path: "+h.describe(), "send every request under "+c.target.EscapedPath()+"/ to the proxy")
	}
	return fail("Clerk does not find the proxy healthy: "+h.describe(), "look at the proxy's log")
}

// clerkError explains the errors by which Clerk refuses to say whose a request
// is.
func (c *checker) clerkError(code string) (f finding, known bool) {
	switch code {
	case codeSecretMissing:
		return fail("the proxy does not send the secret key (proxy_request_missing_secret_key)",
			"have it set the header Clerk-Secret-Key on every request to Clerk; look whether the variable that holds the key is empty"), true
	case codeSecretInvalid:
		return fail("the proxy sends another secret key than this instance's, or the header twice (proxy_request_invalid_secret_key)",
			"give it the production instance's secret key from the Clerk Dashboard, page API keys, without quotes, blanks or line breaks"), true
	case codeHostInvalid:
		return fail("Clerk cannot tell whose the request is (host_invalid)",
			"have the proxy set the header Clerk-Proxy-Url once, to "+c.report.ProxyURL+"; and look whether the domain's id is this instance's"), true
	case codeMalformed, "missing_query_parameter", "form_param_missing":
		return fail("the query of the request does not reach Clerk ("+code+")", "forward what follows the question mark as it is; with nginx, a proxy_pass that holds variables needs $is_args$args"), true
	}
	return f, false
}
