// Package emulator is a Clerk production instance in process: its Frontend API
// and its Backend API, good enough that real ClerkJS in a real browser signs
// people in, keeps their session, renews its token and signs them out, all
// through a proxy and without an account or a network.
//
// A test starts it in one line, as with [net/http/httptest]:
//
//	emu := emulator.NewServer()
//	defer emu.Close()
//
//	proxy := httptest.NewServer(newProxy(emu.FrontendAPI, emu.SecretKey, emu.RootCAs()))
//	defer proxy.Close()
//
//	emu.RegisterProxyURL(proxy.URL + "/__clerk")
//	ada, err := emu.AddUser(emulator.User{Email: "ada@example.com", Password: "analytical"})
//
// and hands [Server.Env] to programs that read Clerk's environment variables.
// [Start] does the same with a [Config] and an error.
//
// # What it enforces
//
// The emulator is there to find a proxy's faults, so it does what Clerk does
// with a faulty one. A request is attributed to a domain by its Clerk-Proxy-Url
// and Clerk-Secret-Key headers; without the key, with another instance's key,
// with a URL that no domain has (a trailing slash makes it another URL) or with
// either header twice it is refused. Until a proxy URL is registered, only
// /v1/health, /v1/proxy-health and /npm/ answer through it. Setting a domain's
// proxy_url through the Backend API calls that URL for real, and refuses it when
// the call does not come back healthy, and to this instance.
//
// Errors carry Clerk's codes and statuses. The words are the emulator's own, and
// say more than Clerk's: that is what someone who debugs a proxy needs.
//
// # What it leaves out
//
// Every e-mail code is [Code]; nothing is sent. People sign in by password or
// e-mail code and sign up with both. Handshakes, satellites, organisations,
// second factors, social connections and native applications are not here, and
// their paths answer 404; nor is CORS, which a page behind a proxy on its own
// origin does without. State lives in memory and ends with [Server.Close].
package emulator
