package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
)

// scriptPath is the script that a page loads, by its major version: Clerk
// redirects to the exact one, or answers with a copy of it.
const scriptPath = "/npm/@clerk/clerk-js@6/dist/clerk.browser.js"

const maxRedirects = 5

// download is ClerkJS on its way to the browser.
type download struct {
	first  *answer  // to scriptPath
	astray *url.URL // where a redirect leads that does not come back under the proxy
	last   *answer  // where it ended; nil when it went astray, or round in circles
	path   string   // of last, below the proxy
	err    error    // no answer came
}

// fetch loads ClerkJS as a browser does, but no further than the proxy.
func (c *checker) fetch(ctx context.Context) *download {
	if c.script != nil {
		return c.script
	}
	d := &download{path: scriptPath}
	c.script = d
	for range maxRedirects {
		a, err := c.proxy.get(ctx, d.path, nil)
		if err != nil {
			d.err = err
			return d
		}
		if d.first == nil {
			d.first = a
		}
		to := a.redirect()
		if to == nil {
			d.last = a
			return d
		}
		rest, under := c.below(to)
		if !under {
			d.astray = to
			return d
		}
		d.path = rest
	}
	return d
}

// below reports whether a URL is under the proxy's, and what follows there.
func (c *checker) below(u *url.URL) (rest string, under bool) {
	path, under := strings.CutPrefix(u.EscapedPath(), c.target.EscapedPath()+"/")
	if !under || u.Scheme != c.target.Scheme || !strings.EqualFold(u.Host, c.target.Host) {
		return "", false
	}
	rest = "/" + path
	if u.RawQuery != "" {
		rest += "?" + u.RawQuery
	}
	return rest, true
}

// redirects looks at where Clerk's redirects lead through the proxy. The one of
// ClerkJS stands for all: sign-in with others' accounts and the handshake are
// made of them.
func (c *checker) redirects(ctx context.Context) finding {
	d := c.fetch(ctx)
	const follow = "have the proxy pass redirects on and not follow them; where it uses fetch, with redirect: \"manual\""
	switch {
	case d.err != nil && d.first == nil:
		return transportProblem(d.err)
	case d.astray != nil:
		return c.judgeAstray(d.astray)
	case d.first.redirect() != nil:
		return ok("Clerk's redirects come back under the proxy URL")
	case d.first.status != http.StatusOK:
		return skip("Clerk does not redirect this request: " + d.first.describe())
	}
	// A cache that holds the redirect, and the file, may spare the way between.
	if a, err := c.proxy.get(ctx, scriptPath, map[string]string{"Cache-Control": "no-cache"}); err == nil && a.redirect() != nil {
		if _, under := c.below(a.redirect()); !under {
			return c.judgeAstray(a.redirect())
		}
		return ok("Clerk's redirects come back under the proxy URL")
	}
	// Clerk may answer with a copy instead; so it is asked just as the proxy does.
	direct := c.direct(ctx, http.MethodGet, scriptPath, "", nil)
	switch {
	case direct == nil:
		return skip("there was no redirect to look at; whether there should be one, the secret key would tell, by a comparison")
	case direct.redirect() == nil:
		return skip("Clerk answered without a redirect, so there was none to look at")
	}
	return fail("the proxy follows Clerk's redirects itself, which breaks the handshake and sign-in with accounts elsewhere", follow)
}

func (c *checker) judgeAstray(to *url.URL) finding {
	const rewrite = "rewrite the Location of Clerk's answers: what leads to the Frontend API, or is a path alone, must begin with the proxy URL; with nginx, proxy_redirect"
	target := withoutQuery(to)
	clerk, err := url.Parse(c.clerk.base)
	switch {
	case err == nil && to.Host == clerk.Host:
		return fail("redirects lead to the Frontend API, past the proxy: "+target, rewrite)
	case strings.HasPrefix(to.EscapedPath(), c.target.EscapedPath()+"/"):
		return fail("redirects lead to another proxy URL than this: "+target,
			"give the proxy its whole URL, "+c.report.ProxyURL+", or have what is in front pass on Host and set X-Forwarded-Proto")
	case to.Hostname() == c.target.Hostname() && to.Scheme != c.target.Scheme:
		return fail("redirects lead to "+target+", over "+to.Scheme+" instead of "+c.target.Scheme, rewrite)
	case to.Hostname() == c.target.Hostname() && to.Port() != c.target.Port():
		return fail("redirects lead to another port: "+target, rewrite)
	case to.Host == c.target.Host:
		return fail("redirects lead out of the proxy's path, to the application: "+target, rewrite)
	}
	return fail("redirects lead elsewhere: "+target, rewrite)
}

// clerkJS looks at the script itself, and compares it with the one that Clerk
// gives directly.
func (c *checker) clerkJS(ctx context.Context) finding {
	d := c.fetch(ctx)
	switch {
	case d.err != nil:
		return transportProblem(d.err)
	case d.astray != nil:
		return skip("its redirect does not come back under the proxy URL")
	case d.last == nil:
		return fail("ClerkJS is redirected again and again", "look at the redirects of what is in front: the exact version is not to be redirected")
	}
	direct, err := c.clerk.get(ctx, d.path, nil)
	if err != nil || direct.redirect() != nil {
		direct = nil
	}
	if d.last.status != http.StatusOK {
		if direct != nil && direct.status == d.last.status && d.last.fromClerk() {
			return skip("Clerk itself does not have it: " + d.last.describe())
		}
		return fail("ClerkJS does not arrive: "+d.last.describe(), "send every request under "+c.target.EscapedPath()+"/ to the proxy, those that end in .js too")
	}
	return judgeScript(d.last, direct, exactVersion.MatchString(d.path))
}

// exactVersion is in the path of a file that never changes.
var exactVersion = regexp.MustCompile(`@\d+\.\d+\.\d+`)

// minScript is less than any ClerkJS that there has been.
const minScript = 10_000

// judgeScript tells whether a browser can run what arrived. Direct is what Clerk
// gives, or nil; comparable where it is the very same file.
func judgeScript(a, direct *answer, comparable bool) finding {
	encoding := strings.ToLower(strings.Join(a.header.Values("Content-Encoding"), ", "))
	const once = "have one place compress and all others pass the bytes on, with their Content-Encoding"
	switch {
	case a.broken != nil:
		return fail(fmt.Sprintf("ClerkJS breaks off: %s arrive, and the connection ends", bytesOf(a)), "look at limits for buffers, temporary files and time in what is in front")
	case a.coding != nil && (errors.Is(a.coding, io.ErrUnexpectedEOF) || len(a.plain) > 0):
		return fail(fmt.Sprintf("ClerkJS breaks off within its compression (%s): %s arrive", cut(encoding), bytesOf(a)), "look at limits for buffers, temporary files and time in what is in front; the length sent must be that of the compressed bytes")
	case a.coding != nil && looksLikeScript(a.body):
		return fail("ClerkJS says that it is compressed ("+cut(encoding)+"), and is not", "drop Content-Encoding where the body is decompressed")
	case a.coding != nil:
		return fail("ClerkJS cannot be decompressed ("+cut(encoding)+")", once)
	case isCompressed(a.plain) && encoding == "":
		return fail("ClerkJS is compressed, and does not say so", "pass on Content-Encoding")
	case isCompressed(a.plain):
		return fail("ClerkJS is compressed twice, and says so once ("+cut(encoding)+")", once)
	case a.isHTML():
		return fail("instead of ClerkJS, "+a.page()+" arrives", "send every request under the path to the proxy, those that end in .js too")
	case !strings.Contains(a.header.Get("Content-Type"), "javascript"):
		return fail("ClerkJS comes as "+quoted(a.header.Get("Content-Type"))+", which browsers do not run", "pass on Content-Type")
	}
	if f := differs(a, direct, comparable); f.status != OK {
		return f
	}
	if encoding == "" {
		return warn(fmt.Sprintf("ClerkJS arrives whole, but not compressed: %s, about four times the bytes", bytesOf(a)),
			"pass on the browser's Accept-Encoding, or compress in front of the proxy")
	}
	return ok(fmt.Sprintf("ClerkJS arrives whole, %s with %s", bytesOf(a), cut(encoding)))
}

// differs compares what arrived with what Clerk gives.
func differs(a, direct *answer, comparable bool) finding {
	switch {
	case !comparable || direct == nil || direct.status != http.StatusOK || direct.coding != nil || direct.broken != nil:
		if !looksLikeScript(a.plain) {
			return fail(fmt.Sprintf("what arrives as ClerkJS is none: %d bytes", len(a.plain)), "look at what is in front of the proxy")
		}
	case bytes.Equal(a.plain, direct.plain):
	case bytes.HasPrefix(direct.plain, a.plain):
		return fail(fmt.Sprintf("ClerkJS is cut short: %d bytes of %d arrive", len(a.plain), len(direct.plain)), "look at limits for buffers, temporary files and time in what is in front")
	default:
		return warn(fmt.Sprintf("ClerkJS is changed on the way: it has %d bytes, and Clerk's has %d", len(a.plain), len(direct.plain)), "turn off what rewrites or minifies scripts, for this path")
	}
	return ok("")
}

func looksLikeScript(b []byte) bool {
	return len(b) > minScript && utf8.Valid(b) && bytes.Contains(bytes.ToLower(b), []byte("clerk"))
}

// isCompressed reports whether bytes that should be a script are compressed.
// Brotli has no mark of its own: it decodes, or it does not.
func isCompressed(b []byte) bool {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return true
	}
	if utf8.Valid(b) {
		return false
	}
	plain, err := io.ReadAll(io.LimitReader(brotli.NewReader(bytes.NewReader(b)), maxPlain))
	return err == nil && len(plain) > len(b)
}

func bytesOf(a *answer) string {
	return fmt.Sprintf("%d KB", (len(a.body)+999)/1000)
}
