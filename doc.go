// Package clerkproxy puts Clerk's Frontend API behind a path on your own domain.
//
// The browser's side of Clerk talks to Clerk's Frontend API. Where no DNS name
// can be given to Clerk for it, the Frontend API can be reached through the
// application's own domain instead, as Clerk's guide [Proxying the Clerk
// Frontend API] describes. This package is such a proxy, as an [http.Handler].
//
// # Using it
//
// With CLERK_PUBLISHABLE_KEY and CLERK_SECRET_KEY in the environment, the zero
// [Config] is complete, and the proxy answers under /__clerk:
//
//	proxy, err := clerkproxy.New(clerkproxy.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.ListenAndServe(":8080", proxy.Middleware(app))
//
// [Proxy.Middleware] passes on whatever is not Clerk's. A Proxy can also be
// mounted like any handler, with its path left in place:
//
//	mux.Handle("/__clerk/", proxy)
//
// http.ServeMux redirects paths that are not clean, such as those with two
// slashes; Middleware in front of it does not.
//
// Then tell Clerk the proxy URL, https://app.dev/__clerk, on the Domains page of
// its dashboard. Clerk calls the proxy before it accepts the URL; until it has,
// the Frontend API answers 400 host_invalid, which is as it should be.
//
// # What to configure in production
//
// Give Config.ProxyURL as an absolute URL, or Config.Hosts: a proxy that
// serves every Host it is asked for also tells Clerk whatever host a client
// invents.
//
// Clerk limits and guards by the client's IP address, so that address must be
// the person's, and nobody may choose it. Only proxies in Config.TrustedProxies
// are believed about it. If what is in front of you has a public address, such
// as a content delivery network, list its ranges there, or every visitor has
// the network's address; and name the header that it sets, such as
// CF-Connecting-IP, in Config.ClientIPHeader.
//
// # What is guaranteed
//
// The path after the proxy's own, the query and the body travel byte for byte,
// and so do the values of all end-to-end headers but those that tell Clerk about
// the proxy and the client, which are the proxy's to say. Bodies are streamed;
// a small one, of up to 16 KiB, that is at hand is sent in one piece. The host
// that requests go to is fixed when the Proxy is made. The secret key is sent
// there and nowhere else, over TLS unless that host is this machine. Redirects
// to the Frontend API come back under the proxy and are never followed. An
// answer that breaks off upstream breaks off for the client too, so that half a
// body is never taken for a whole one; only HTTP/1.0 clients cannot be told.
//
// Errors of the proxy's own look like Clerk's, with the codes of Clerk's
// JavaScript SDK:
//
//	{"errors":[{"code":"proxy_request_failed","message":"..."}]}
//
// A production instance is needed: Clerk does not proxy development instances.
//
// [Proxying the Clerk Frontend API]: https://clerk.com/docs/guides/dashboard/dns-domains/proxy-fapi
package clerkproxy
