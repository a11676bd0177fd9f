package check

import (
	"context"
	"net/http"
)

// environment judges the answer to the first request of every page: the
// instance's settings, or why Clerk does not give them.
func (c *checker) environment(context.Context) finding {
	a := c.first
	switch {
	case a.status == http.StatusOK && a.api().AuthConfig != nil:
		c.report.Enabled = true
		return ok("Clerk answers with the instance's settings: the proxy is in use")
	case a.code() == codeHostInvalid:
		return c.notAttributed()
	}
	if f, known := c.clerkError(a.code()); known {
		return f
	}
	return fail("Clerk does not answer with the instance's settings: "+a.describe(), "look at the proxy's log; run this check again")
}

// notAttributed is about host_invalid, which is right for a proxy URL that Clerk
// does not know yet, and wrong for one that it does.
func (c *checker) notAttributed() finding {
	switch {
	case c.domainURL == nil:
		return ok("Clerk does not know this proxy URL (host_invalid), as it should be until you set it at Clerk; if you have, the proxy sends another Clerk-Proxy-Url than " + c.report.ProxyURL)
	case *c.domainURL == c.report.ProxyURL:
		return fail("Clerk has this proxy URL for the domain, but does not recognise the proxy's requests (host_invalid)",
			"have the proxy send Clerk-Proxy-Url: "+c.report.ProxyURL+", to the letter: https, the same host, no slash at its end")
	}
	return ok("Clerk does not know this proxy URL yet (host_invalid), as it should be until you set it at Clerk")
}
