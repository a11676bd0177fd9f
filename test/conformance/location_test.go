package conformance

// redirect is a 302 to a location.
func redirect(location string) []step {
	return answer("302 Found", "", "Location: "+location)
}

// location is a case of a redirect that is answered to GET /__clerk/v1/client.
func location(name, sent, want string) testCase {
	return testCase{name: name, answer: redirect(sent), want: also(answers("302", "location", want), fields{"upstream.requests": "1"})}
}

const proxyURL = "http://app.example.com/__clerk"

var locationCases = []testCase{
	location("an absolute redirect to the Frontend API leads to the proxy", "http://{upstream}/v1/client", proxyURL+"/v1/client"),
	location("a redirect keeps its query and fragment", "http://{upstream}/v1/client?a=b&c=%2F#d/e?f", proxyURL+"/v1/client?a=b&c=%2F#d/e?f"),
	location("a redirect keeps its escapes", "http://{upstream}/v1/a%2Fb%20c?d=%zz+e", proxyURL+"/v1/a%2Fb%20c?d=%zz+e"),
	location("a redirect to the root of the Frontend API leads to the proxy's", "http://{upstream}/", proxyURL+"/"),
	location("a redirect to the mere origin leads to the proxy's root", "http://{upstream}", proxyURL),
	location("a redirect to the origin with a query leads to the proxy's root", "http://{upstream}?a=b", proxyURL+"?a=b"),
	location("a scheme-relative redirect to the Frontend API leads to the proxy", "//{upstream}/v1/client", proxyURL+"/v1/client"),
	location("a redirect to a path leads to the proxy", "/v1/environment?x#y", proxyURL+"/v1/environment?x#y"),
	location("a relative redirect is resolved against the request", "client/sync?a=b", proxyURL+"/v1/client/sync?a=b"),
	location("a relative redirect upwards is resolved against the request", "../npm/clerk.js", proxyURL+"/npm/clerk.js"),
	location("a redirect to a query is one to the same path", "?a=b", proxyURL+"/v1/client?a=b"),
	location("a redirect to a fragment is one to the same path", "#a", proxyURL+"/v1/client#a"),
	location("a redirect to https of the Frontend API leads to the proxy", "https://{upstream}/v1/client", proxyURL+"/v1/client"),
	location("a redirect to the Frontend API in capitals leads to the proxy", "HTTP://{upstream}/v1/client", proxyURL+"/v1/client"),
	location("a redirect to another host is untouched", "https://app.example.com/welcome?a=b#c", "https://app.example.com/welcome?a=b#c"),
	location("a scheme-relative redirect to another host is untouched", "//accounts.example.com/sign-in", "//accounts.example.com/sign-in"),
	location("a redirect to another port is untouched", "http://127.0.0.1:1/v1/client", "http://127.0.0.1:1/v1/client"),
	location("a redirect to a host that only begins like the Frontend API's is untouched", "http://{upstream}.evil.com/v1/client", "http://{upstream}.evil.com/v1/client"),
	location("a redirect with the Frontend API as credentials is untouched", "http://{upstream}@evil.com/v1/client", "http://{upstream}@evil.com/v1/client"),
	location("a redirect with credentials to the Frontend API is untouched", "http://user:password@{upstream}/v1/client", "http://user:password@{upstream}/v1/client"),
	location("a redirect to another scheme is untouched", "myapp://{upstream}/callback?token=1", "myapp://{upstream}/callback?token=1"),
	location("a redirect to mail is untouched", "mailto:ada@example.com", "mailto:ada@example.com"),
	location("a redirect with the Frontend API in its query is untouched", "https://accounts.example.com/?redirect_url=http://{upstream}/v1", "https://accounts.example.com/?redirect_url=http://{upstream}/v1"),
	location("a malformed redirect is untouched", "http://%zz:nonsense/[", "http://%zz:nonsense/["),
	location("an empty redirect is untouched", "", ""),
	location("UTF-8 in a redirect to another host is untouched", "https://app.example.com/caf\xc3\xa9", "https://app.example.com/caf\xc3\xa9"),
	{name: "a redirect that keeps the method is rewritten", request: post(form), answer: answer("307 Temporary Redirect", "{}", "Location: /v1/other"), want: also(answers("307", "location", proxyURL+"/v1/other"), fields{"upstream.requests": "1", "client.body": "{}"})},
	{name: "a permanent redirect is rewritten", answer: answer("308 Permanent Redirect", "", "Location: http://{upstream}/v1/other"), want: answers("308", "location", proxyURL+"/v1/other")},
	{name: "the address of something created is rewritten", request: post(form), answer: answer("201 Created", "{}", "Location: /v1/client/sign_ins/1"), want: answers("201", "location", proxyURL+"/v1/client/sign_ins/1")},
	{name: "a redirect leads to the public origin", request: with("Host: internal:8080", "X-Forwarded-Host: app.example.com", "X-Forwarded-Proto: https"), answer: redirect("http://{upstream}/v1/client"), want: answers("302", "location", "https://app.example.com/__clerk/v1/client")},
	{name: "a redirect of a library of ClerkJS leads to the proxy", request: get("/__clerk/npm/@clerk/clerk-js@6/dist/clerk.browser.js"), answer: answer("307 Temporary Redirect", "", "Location: /npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js"), want: answers("307", "location", proxyURL+"/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js")},
	{name: "a relative redirect from a path with two slashes stays with the host", request: get("/__clerk//v1//client"), answer: redirect("x"), want: answers("302", "location", proxyURL+"//v1//x")},
	{name: "a redirect below the Frontend API's own path leads to the proxy", mount: "base path", answer: redirect("http://{upstream}/fapi/base/v1/client"), want: answers("302", "location", proxyURL+"/v1/client")},
	{name: "a redirect to a path below the Frontend API's own path leads to the proxy", mount: "base path", answer: redirect("/fapi/base/v1/client"), want: answers("302", "location", proxyURL+"/v1/client")},
	{name: "a relative redirect below the Frontend API's own path leads to the proxy", mount: "base path", answer: redirect("other"), want: answers("302", "location", proxyURL+"/v1/other")},
	{name: "a redirect elsewhere on the Frontend API's host is untouched", mount: "base path", answer: redirect("http://{upstream}/elsewhere"), want: answers("302", "location", "http://{upstream}/elsewhere")},
	{name: "Content-Location is untouched", answer: answer("200 OK", "{}", "Content-Location: /v1/client"), want: answers("200", "content-location", "/v1/client")},
	{name: "Refresh is untouched", answer: answer("200 OK", "{}", "Refresh: 0; url=/v1/client"), want: answers("200", "refresh", "0; url=/v1/client")},
}
