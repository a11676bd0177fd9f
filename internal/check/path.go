package check

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// path asks for something that Clerk always answers, and finds out who did.
func (c *checker) path(ctx context.Context) finding {
	a, err := c.proxy.get(ctx, "/v1/environment", nil)
	if err != nil {
		f := transportProblem(err)
		if c.proxy.egress() {
			c.offline = c.noNetwork(ctx, err)
			f.advice = "look whether the proxy that HTTPS_PROXY names lets this machine reach " + c.target.Host + "; if it does: " + f.advice
		}
		return f
	}
	c.first = a
	switch {
	case a.broken != nil:
		return fail("the answer breaks off", "look at limits for buffers, temporary files and time in what is in front")
	case a.coding != nil || isCompressed(a.plain):
		return fail("an answer comes that no browser can decompress", "have one place compress and all others pass the bytes on, with their Content-Encoding")
	}
	if a.fromClerk() && a.status == http.StatusNotFound {
		return c.wrongPath(ctx)
	}
	if f := c.judgePath(a); f.status != OK {
		return f
	}
	if a.proto == "HTTP/1.0" {
		return warn("Clerk answers, over HTTP/1.0: every request needs a connection of its own", "have what is in front speak HTTP/1.1 or HTTP/2")
	}
	return ok("Clerk answers, over " + a.proto)
}

// transportProblem is about a request that got no answer at all.
func transportProblem(err error) finding {
	if timedOut(err) {
		return fail("no answer comes in time", "look whether the proxy reaches Clerk, and whether what is in front reaches the proxy")
	}
	return fail("no valid answer comes: "+upstream.Explain(err), "look at the log of what serves this address")
}

// wrongPath tells what a proxy makes of the path, which reaches Clerk as one
// that Clerk does not have.
func (c *checker) wrongPath(ctx context.Context) finding {
	works := func(path string) bool {
		a, err := c.proxy.get(ctx, path, nil)
		return err == nil && a.fromClerk() && a.status != http.StatusNotFound
	}
	base := c.target.EscapedPath()
	forward := fmt.Sprintf("forward %s/v1/environment as /v1/environment", base)
	switch {
	case works("/environment"):
		return fail("the proxy puts /v1 in front of the path: Clerk is asked for /v1/v1/environment", forward)
	case works("/v1/v1/environment"):
		return fail("the proxy cuts off more of the path than its own: Clerk is asked for /environment", forward)
	}
	return fail("Clerk answers, but finds nothing: it is asked for another path, most likely with "+base+" left in front",
		"cut "+base+" off before forwarding: "+forward+"; with nginx, end both the location and proxy_pass with a slash")
}

// judgePath tells who answered, and why it was not Clerk.
func (c *checker) judgePath(a *answer) finding {
	if f, is := proxyError(a); is {
		return f
	}
	switch {
	case a.fromClerk():
		return ok("")
	case a.redirect() != nil:
		return c.judgeRedirect(a.redirect())
	}
	if f, is := gatewayError(a); is {
		return f
	}
	base := c.target.EscapedPath()
	route := "have what is in front send every request under " + base + "/ to the proxy, before the application gets it"
	switch {
	case a.isHTML() && a.status == http.StatusNotFound:
		return fail("nothing is at this path: "+a.page()+" answers 404", route)
	case a.isHTML():
		return fail(fmt.Sprintf("%s answers with status %d, not Clerk", a.page(), a.status), route)
	case a.status == http.StatusNotFound:
		return fail("nothing is at this path: the answer is 404, and not Clerk's", route)
	}
	return fail("something else than Clerk answers: "+a.describe(), route)
}

// proxyError explains the errors of proxies that are made for Clerk: this
// project's, and those of Clerk's SDKs.
func proxyError(a *answer) (f finding, is bool) {
	said := quoted(a.message())
	switch code := a.code(); {
	case code == "proxy_path_mismatch":
		return fail("the request reaches a proxy for Clerk, but under another path than the proxy has, or for a URL it is not enabled for (proxy_path_mismatch)",
			"give the proxy the path of the proxy URL, and do not cut the path off in front of the proxy"), true
	case code == "proxy_configuration_error":
		return fail("the proxy is not configured to work: "+said+" (proxy_configuration_error)", "give it the production instance's publishable and secret key"), true
	case code != "proxy_request_failed":
		return f, false
	}
	switch a.status {
	case http.StatusMisdirectedRequest:
		return fail("the proxy does not accept this host (421)", "add the host to those that the proxy accepts (--host), or let what is in front keep the Host header"), true
	case http.StatusBadGateway:
		return fail("the proxy does not reach Clerk (502)", "its log says why: the name cannot be looked up, a firewall, or authorities that it does not know"), true
	case http.StatusGatewayTimeout:
		return fail("Clerk does not answer the proxy in time (504)", "let the proxy's machine connect to Clerk; its log says more"), true
	}
	return fail(fmt.Sprintf("the proxy refuses: %s (status %d)", said, a.status), "its log says why"), true
}

// gatewayError explains what servers say that are in front of something.
func gatewayError(a *answer) (f finding, is bool) {
	who := a.front()
	switch s := a.status; {
	case s == http.StatusBadRequest && bytes.Contains(a.plain, []byte("plain HTTP request was sent to HTTPS port")):
		return fail("the proxy URL is plain http, and this port speaks TLS", "write the proxy URL with https"), true
	case s == http.StatusUnauthorized && a.header.Get("Www-Authenticate") != "":
		return fail("a password is asked for (401)", "leave the path out of the password protection: browsers cannot give one for Clerk"), true
	case s == http.StatusForbidden && strings.EqualFold(a.header.Get("Cf-Mitigated"), "challenge"):
		return fail("Cloudflare wants to see a browser first (a challenge, 403)", "add a rule that skips challenges and bot protection for the path; Clerk's own servers call it too"), true
	case s == http.StatusForbidden && a.isCloudflare() && a.isHTML():
		return fail("Cloudflare refuses (403)", "either a rule of yours forbids it; or the proxy sends Clerk your own Host header, which Cloudflare, in front of Clerk, does not know: send Host: frontend-api.clerk.dev"), true
	case s == http.StatusForbidden, s == http.StatusNotAcceptable:
		return fail(fmt.Sprintf("%s refuses the request (%d)", who, s), "let every request under the path through: a firewall for web applications, or a rule for addresses or clients, forbids it"), true
	case s == http.StatusTooManyRequests:
		return fail(who+" allows no further requests (429)", "let the path take more: a page alone takes a dozen requests, and Clerk has its own limits"), true
	case s == http.StatusMisdirectedRequest:
		return fail(who+" does not serve this host (421)", "send this name's requests there, or let what is in front keep the Host header"), true
	case s == http.StatusBadGateway, s == http.StatusServiceUnavailable:
		return fail(fmt.Sprintf("%s does not reach what is behind it (%d)", who, s), "look whether the proxy runs, and, if "+who+" is the proxy, whether it reaches Clerk; its log says why"), true
	case s == http.StatusGatewayTimeout:
		return fail(who+" gets no answer in time from what is behind it (504)", "look whether the proxy runs and reaches Clerk; its log says why"), true
	case s >= 520 && s <= 530 && a.isCloudflare():
		return fail(fmt.Sprintf("Cloudflare does not get an answer from the server behind it (%d)", s), "look whether that server runs, and whether its TLS and its firewall let Cloudflare in; Cloudflare explains the number"), true
	case s >= 500:
		return fail(fmt.Sprintf("%s fails (%d)", who, s), "look at its log"), true
	}
	return f, false
}

// login is found in the addresses of pages where people sign in.
var login = regexp.MustCompile(`(?i)\b(log-?_?in|sign-?_?in|auth|sso|session/new)\b`)

// judgeRedirect is about an application, or what is in front of it, that sends
// the browser elsewhere.
func (c *checker) judgeRedirect(to *url.URL) finding {
	asked := *c.target
	asked.Path += "/v1/environment"
	target := withoutQuery(to)
	switch {
	case to.Hostname() == asked.Hostname() && asked.Scheme == "http" && to.Scheme == "https":
		return fail("everything is redirected to https", "write the proxy URL with https, here and wherever it is configured")
	case to.Hostname() == asked.Hostname() && asked.Scheme == "https" && to.Scheme == "http":
		return fail("everything is redirected to plain http", "do not: browsers block it, and the loop that often comes of it")
	case to.Host == asked.Host && strings.TrimRight(to.Path, "/") == strings.TrimRight(asked.Path, "/"):
		return fail("the request is redirected only to add or remove a slash, to "+target, "leave the path out of that rule: it does not reach the proxy")
	case to.Path != asked.Path && login.MatchString(to.Host+to.Path):
		return fail("the visitor is sent to sign in first, at "+target, "leave the path out of what is protected: nobody is signed in before it works")
	case to.Hostname() != asked.Hostname():
		return fail("the request is redirected to another host, "+target, "use the host that it leads to in the proxy URL, or leave the path out of the redirect: a browser's requests lose their cookies on the way")
	}
	return fail("the request is redirected to "+target, "leave the path out of that redirect: it does not reach the proxy")
}

// withoutQuery is a URL without what may be somebody's secret.
func withoutQuery(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.Fragment, shown.User = "", "", nil
	return cut(shown.String())
}

func (a *answer) isHTML() bool {
	return strings.HasPrefix(strings.ToLower(a.header.Get("Content-Type")), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.plain), []byte("<"))
}

func (a *answer) isCloudflare() bool {
	return a.header.Get("Cf-Ray") != "" || strings.EqualFold(a.header.Get("Server"), "cloudflare")
}

// front is the name of what answered, by its own word.
func (a *answer) front() string {
	switch server := a.header.Get("Server"); {
	case a.isCloudflare():
		return "Cloudflare"
	case server != "":
		return cut(server)
	}
	return "what is in front"
}

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// maxHead is how far into a page its title is looked for.
const maxHead = 64 << 10

// page is a page as its developer knows it.
func (a *answer) page() string {
	found := title.FindSubmatch(a.plain[:min(len(a.plain), maxHead)])
	if found == nil || len(bytes.TrimSpace(found[1])) == 0 {
		return "a page of the application"
	}
	name := strings.Join(strings.Fields(html.UnescapeString(string(found[1]))), " ")
	return "a page titled " + quoted(name)
}
