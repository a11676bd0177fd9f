// Package auth tells who is signed in, in a Go application that uses Clerk.
//
// Clerk's session tokens live for a minute. Browsers renew them, but a page that
// is opened after an hour comes with one that has run out: whether its visitor
// is signed in, Clerk alone knows. This package finds out, as Clerk's
// middleware for JavaScript does, by a redirect through Clerk that the visitor
// does not notice, the handshake. It decides as @clerk/backend does, and is
// compared with it request by request.
//
// # Using it
//
// With the proxy for Clerk's Frontend API, nothing has to be configured twice:
//
//	proxy, err := clerkproxy.New(clerkproxy.Config{})
//	...
//	authn, err := auth.New(auth.Config{Proxy: proxy})
//	...
//	http.ListenAndServe(":8080", proxy.Middleware(authn.Middleware(mux)))
//
// Without it, the zero [Config] works when CLERK_PUBLISHABLE_KEY and
// CLERK_SECRET_KEY are in the environment.
//
// [Authenticator.Middleware] goes around the whole application. In a handler,
// ask who it is:
//
//	if session, ok := auth.FromContext(r.Context()); ok {
//		fmt.Fprintf(w, "Hello, %s", session.UserID)
//	}
//
// Handlers written for Clerk's Go SDK see the same session with
// clerk.SessionClaimsFromContext.
//
// [Authenticator.Require] goes around what only signed-in people may see. Pages
// are redirected to the sign-in page and back; calls of an API are answered 401:
//
//	mux.Handle("/account/", authn.Require(account))
//
// What a person may do is in the session:
//
//	if !session.Has(auth.Requirement{Permission: "org:invoices:create"}) { ... }
//
// A session token also comes in the header Authorization, from a mobile
// application or a script. Then no cookie is looked at.
//
// # What to configure in production
//
// Set [Config.AuthorizedParties] when applications of others are on subdomains
// of your domain: they can set cookies on it. Set Hosts, here or in the proxy's
// configuration, so that nobody can invent the host that a handshake comes back
// to.
//
// On a satellite domain set [Config.IsSatellite], and a proxy or [Config.Domain],
// not both.
//
// # What is guaranteed
//
// A session token is accepted only when it was signed with RS256, by a key of
// this instance, for the class of session tokens, and is in force. Nothing about
// how it is verified is read from the token. Of what a handshake or a refresh
// sets, only Clerk's own cookies are passed on. Redirects go to Clerk, to the
// proxy or to configured pages, and come back to the request's own URL on a host
// that is accepted.
//
// Tokens longer than 32 KB, and cookies beyond 64 KB in one request, are not
// looked at. No error, log line or header holds a key, a cookie or a token; the
// exceptions are those that are made for it: cookies that Clerk sets, and the
// expired token in the URL of a handshake, which goes to Clerk.
//
// Keys are loaded from the Backend API when they are first needed, and again in
// the background after five minutes, once at a time however many requests there
// are. While the Backend API cannot be reached, the last ones are used for up to
// six hours. A key that is not known is asked for at once, five times in a row
// at most, and then every ten seconds.
//
// A token that was verified is remembered by its digest until it expires, so the
// signature is checked once and not for every picture on a page; when Clerk
// withdraws the key it was signed with, that is forgotten. There is nothing to
// close: the only goroutine is the one that loads keys, and it ends with that.
package auth
