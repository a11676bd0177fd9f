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
// # Who is signed in
//
// A server asks as it asks Clerk: by a handshake, whose result it fetches with a
// nonce or finds in a token, and by refreshing a session whose token has expired.
// Both give it a new __session and a new refresh cookie, a handshake __client_uat
// too. [Config.Now] makes tokens expire without waiting, [Server.RotateKeys]
// changes the key that signs them, and [Config.OnRequest] sees how often servers
// fetch the keys.
//
// A satellite, see [Server.AddSatellite], shares the sessions of the primary
// domain. Its handshake goes to the primary domain's /v1/client/sync, comes back
// to its own /v1/client/link, and ends with __clerk_synced=true on the page;
// ClerkJS on a page goes the same way. The primary domain is reached at its first
// proxy URL, so sign people in there. As with Clerk, the page to sign in on must
// have the satellite's origin among ClerkJS's allowedRedirectOrigins.
//
// [Server.AddOrganization] adds organizations, whose roles and permissions session
// tokens then hold. A handshake with organization_id, and ClerkJS, make one the
// active one.
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
// Browsers are sent back to the instance's own domains alone: over https, or on
// loopback to the host of a registered proxy URL, at any port. A nonce, a
// satellite's link and a refresh token are each good once, the first two for a
// minute, and a refresh token only at the proxy URL where it was given.
//
// Errors carry Clerk's codes and statuses. The words are the emulator's own, and
// say more than Clerk's: that is what someone who debugs a proxy needs. Of a
// refused refresh the code is the emulator's own as well.
//
// # What it leaves out
//
// Every e-mail code is [Code]; nothing is sent. People sign in by password or
// e-mail code and sign up with both. Organizations are made by [Server] alone:
// pages show and choose them, but do not create, change or invite. Development
// instances with their dev browser, several sessions in one browser, second
// factors, social connections, machine tokens and native applications are not
// here, and their paths answer 404; nor is CORS, which a page behind a proxy on
// its own origin does without. State lives in memory and ends with
// [Server.Close].
package emulator
