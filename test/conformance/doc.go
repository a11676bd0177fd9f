// Package conformance compares this proxy with Clerk's own: the same request
// bytes go through package clerkproxy, through the frontendApiProxy of
// @clerk/express and through clerkFrontendApiProxy of @clerk/backend, all in
// front of one recording upstream that answers the same bytes. What the
// upstream received and what the client received must be equal, or the
// difference must be on the list in differences_test.go, with its reason.
//
// Both ends are raw TCP connections: no HTTP library tidies a request on its
// way in or an answer on its way out.
//
// A case reads like this:
//
//	{
//	    name:   "a redirect to the Frontend API is brought back under the proxy",
//	    answer: redirect("http://{upstream}/v1/client"),
//	    want:   fields{"client.header.location": "http://app.example.com/__clerk/v1/client"},
//	}
//
// Every field of what a case says in want is asserted of our proxy; all fields
// of its observation are compared with the yardsticks'.
//
//	go test ./test/conformance -update   # writes docs/conformance.md anew
//
// To see why a case fails, run it alone with -v: it prints the observations.
package conformance
