package auth_test

// A difference is one that is meant: the cases by a pattern of their names, the
// fields of the outcome that differ, and why. A case that is listed and equal
// fails the comparison, as does an entry that names no case.
type difference struct {
	cases, fields, reason string
}

const (
	oneAlgorithm = "Clerk signs with RS256, so nothing else is accepted, and the message says so (RFC 8725 §3.1). The SDK also names RS384 and RS512."
	noKid        = "A token that names no key is told so without JavaScript's undefined."
	nullPayload  = "A payload that is no object cannot be decoded. The SDK fails with an internal error."
	machines     = "Package auth knows session tokens. clerkMiddleware, in its mode for any token, also asks the Backend API about machine tokens; the application sees no user in either."
	fromURL      = "In production, FAPI sets the result of a handshake as a cookie and never in the URL. From there, a link could sign the one who follows it in as somebody else."
	hostile      = "A handshake or a refresh sets Clerk's cookies and no others."
	templates    = "A token made from a template is no session token, wherever it comes from. The SDK checks the class of those in requests only."
	loops        = "The count of redirects is a number from 0 to 3. With the SDK a client that sends 4 is redirected for ever."
	asciiOnly    = "Headers are ASCII (RFC 9110 §5.5): a message that quotes anything else is left out. The SDK sends it as Latin-1."
	keyMessages  = "What is told to a client about the keys does not quote the Backend API, whose address and answers may be internal."
	codes        = "Only what looks like a code of Clerk's is passed on, in a URL and a header."
	noProxyInDev = "Clerk does not proxy development instances, so the proxy URL is disregarded there. The SDK sends the browser to a proxy that cannot answer."
	emptyProto   = "An empty X-Forwarded-Proto says nothing; the URL is still the request's. The SDK redirects back to http://clerk-dummy."
	ownPortal    = "Clerk's account portal is known by the instance's key, with a proxy too. The SDK derives it from the proxy URL and makes one detour more."
	openRedirect = "In development too, a browser is sent, with a token, to loopback and configured origins only. The SDK sends it wherever a link says."
	invalidURL   = "A redirect to what is no URL is disregarded. The SDK fails with an internal error."
	wrongTypes   = "A claim of an unexpected type is no claim. The SDK hands it to the application as it is."
)

var differences = []difference{
	{"cookie/*/*/without kid", "message", noKid},
	{"header/*/*/without kid", "message", noKid},
	{"cookie/*/*/with alg *", "auth message", oneAlgorithm},
	{"header/*/*/with alg *", "auth message", oneAlgorithm},
	{"cookie/*/*/without alg", "message", oneAlgorithm},
	{"header/*/*/without alg", "message", oneAlgorithm},
	{"cookie/*/*/with a payload that is null", "status auth message app", nullPayload},
	{"header/*/*/with a payload that is null", "auth message", nullPayload},
	{"header/*/*/of a machine by sub", "auth", machines},
	{"header/*/*/of OAuth by typ", "auth", machines},
	{"scheme/API key", "auth message", machines},
	{"scheme/OAuth access token", "auth message", machines},
	{"scheme/machine token", "auth message", machines},
	{"scheme/with cookies/API key", "auth message", machines},
	{"scheme/with cookies/OAuth access token", "auth message", machines},
	{"scheme/with cookies/machine token", "auth message", machines},
	{`loop/*/"4"`, "status location cookies auth headers app", loops},
	{`loop/*/"-1"`, "cookies", loops},
	{"azp/*/*/é", "message", asciiOnly},
	{"keys/refused", "message", keyMessages},
	{"keys/empty", "message", keyMessages},

	{"handshake/production/* in the URL/signed in", "cookies auth headers app", fromURL},
	{"handshake/production/* in the URL/signed out", "cookies auth headers", fromURL},
	{"handshake/production/* in the URL/nothing", "auth headers", fromURL},
	{"handshake/production/* in the URL/expires attribute", "cookies auth headers app", fromURL},
	{"handshake/production/* in the URL/own cookies erased", "cookies auth headers app", fromURL},
	{"handshake/production/* in the URL/template session", "cookies auth headers app", fromURL},
	{"handshake/production/* in the URL/hostile name", "cookies auth headers app", fromURL},
	{"handshake/production/* in the URL/hostile attribute", "cookies auth headers app", fromURL},
	{"handshake/*/* in a cookie/hostile name", "cookies", hostile},
	{"handshake/*/* in a cookie/hostile attribute", "cookies", hostile},
	{"handshake/*/* in a cookie/hostile suffix", "location cookies auth headers app", hostile},
	{"handshake/development/* in the URL/hostile name", "cookies", hostile},
	{"handshake/development/* in the URL/hostile attribute", "cookies", hostile},
	{"handshake/development/* in the URL/hostile suffix", "location cookies auth headers", hostile},
	{"handshake/*/* in a cookie/template session", "location cookies auth headers app", templates},
	{"handshake/development/* in the URL/template session", "location cookies auth headers", templates},

	{"refresh/*/hostile/page", "cookies", hostile},
	{"refresh/*/hostile/call", "cookies", hostile},
	{"refresh/*/strange-code/page", "location auth", codes},
	{"refresh/*/strange-code/call", "auth", codes},

	{"public URL/*/no forwarded protocol", "location", emptyProto},
	{"proxy/development/*/handshake", "location", noProxyInDev},
	{"proxy/development/*/on another host", "location", noProxyInDev},
	{"referrer/production/proxied/https:||accounts.app.dev|sign-in", "status location cookies auth message headers app", ownPortal},

	{"development/primary answers a stranger", "status location cookies auth headers app", openRedirect},
	{"development/primary answers a script", "status location cookies auth headers app", openRedirect},
	{"development/primary answers nonsense", "status app", invalidURL},
	{"session/*/claims of unexpected types", "app", wrongTypes},
}
