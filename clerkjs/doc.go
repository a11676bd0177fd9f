// Package clerkjs puts ClerkJS and Clerk's components on pages that a Go
// application renders: what <ClerkProvider proxyUrl> is to a React application,
// for html/template.
//
// # Using it
//
// With the proxy for Clerk's Frontend API, nothing has to be configured twice:
//
//	proxy, err := clerkproxy.New(clerkproxy.Config{})
//	...
//	clerk, err := clerkjs.New(clerkjs.Config{Proxy: proxy})
//	...
//	http.ListenAndServe(":8080", proxy.Middleware(clerk.Middleware(mux)))
//
// Hand the Provider and the request to the template:
//
//	page.Execute(w, map[string]any{"Clerk": clerk, "Request": r})
//
// and let it write the scripts into the head, and links wherever they belong:
//
//	<meta charset="utf-8">
//	{{.Clerk.Tags .Request}}
//	...
//	<a href="{{.Clerk.SignInURL .Request "/account"}}">Sign in</a>
//
// The page needs its charset: without it, the apostrophes in Clerk's texts come
// out broken. The scripts load beside the page and then call Clerk.load with
// what was configured. Scripts of the page's own wait for the promise
// clerkReady, which is there as soon as the tags are:
//
//	<script nonce="{{.Clerk.Nonce .Request}}">
//	  clerkReady.then((clerk) => clerk.mountSignIn(document.getElementById("sign-in"), {routing: "path", path: "/sign-in"}));
//	</script>
//
// Serve that page under /sign-in/ too, as Clerk's component has pages below its
// own. The promise is rejected with an error when ClerkJS cannot be loaded.
//
// ClerkJS and its components come from the proxy or, where there is none, from
// the instance's Frontend API, in the newest version of [DefaultJSVersion] and
// [DefaultUIVersion], which Clerk keeps compatible. Config pins others.
//
// # Content-Security-Policy
//
// [Provider.Middleware] makes a nonce for each request and sets the header. The
// policy is the page's own, Config.ContentSecurityPolicy, and what ClerkJS needs
// in addition:
//
//	script-src   the nonce, and the proxy's /npm/
//	connect-src  the proxy
//	style-src    'unsafe-inline', or the nonce if the page uses nonces or hashes
//	worker-src   blob:, for the worker that ClerkJS keeps time with
//	img-src      data:, for small pictures; and what Config.Features names
//	frame-src    what Config.Features names
//
// Nothing is added that the page allows already, and nothing to what the page
// does not limit at all: a directive that was not there would forbid what was
// allowed. Where the page has 'strict-dynamic', the nonce alone is added to
// script-src. Where it allows inline scripts with 'unsafe-inline', no nonce is,
// as that would take them away. 'none' goes when there is something to add to
// it. All other directives stay as they are, form-action too: of Clerk's
// components only the consent page for OAuth applications submits a form.
//
// A page with a policy of its own overrides the header with
// [Provider.ContentSecurityPolicy], which merges the same. To try a policy, set
// its result as Content-Security-Policy-Report-Only.
//
// A page with a nonce must not be cached and shown to others. Without the
// middleware there is no nonce; ContentSecurityPolicy then allows the inline
// script by its hash, which is the same for every request. That does not go
// together with 'strict-dynamic', which takes no element's host into account.
//
// On a page with require-trusted-types-for, Clerk's components do not show,
// whatever else the policy says: they load their parts in a way that it forbids.
//
// # Sign-in links
//
// [Provider.SignInURL] and [Provider.SignUpURL] carry the way back in
// redirect_url. It may come from the request, as in /login?next=: what leads to
// another origin than the page's own and Config.AllowedRedirectOrigins is not
// used. On a satellite domain the way back has the parameter
// __clerk_synced=false, which makes the satellite learn about the new session.
//
// # What is guaranteed
//
// Whatever the configuration and the request hold, Tags is three script
// elements with the intended attributes; every value is escaped for where it
// stands. No secret is asked for, and none reaches a page. The secret key of the
// Proxy is not looked at.
package clerkjs
