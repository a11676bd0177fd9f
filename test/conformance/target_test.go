package conformance

import "strings"

// kept says that a target is forwarded byte for byte.
func kept(name, target string) testCase {
	return testCase{name: name, request: get("/__clerk" + target), want: forwardedTo(target)}
}

var targetCases = []testCase{
	kept("an escaped slash in the path stays", "/v1/a%2Fb"),
	kept("an escape in small letters stays", "/v1/a%2fb%c3%a9"),
	kept("an escape that was not needed stays", "/v1/%63lient"),
	kept("two slashes stay two", "/v1//client"),
	kept("slashes at the end stay", "/v1/client//"),
	kept("two slashes and a host are a path", "//evil.com/v1/client"),
	kept("two slashes, credentials and a host are a path", "//user@evil.com:80/v1/client"),
	kept("a URL is a path", "/http://evil.com/v1/client"),
	kept("an at sign is a path", "/@evil.com/v1/client"),
	kept("a colon is a path", "/:443/v1/client"),
	kept("a single dot segment stays", "/./v1/./client"),
	kept("dot segments within the path stay", "/v1/x/../client"),
	kept("semicolons, pluses and commas in the path stay", "/v1/a;b=c,d+e"),
	kept("sub-delimiters in the path stay", "/v1/!$&'()*+,;=:@~-._"),
	kept("a pipe in the path stays", "/v1/a|b"),
	kept("quotes and brackets in the path stay", "/v1/\"a\"<b>{c}[d]`e"),
	kept("a caret in the path stays", "/v1/a^b"),
	kept("a backslash in the path stays", `/v1\..\client`),
	kept("UTF-8 in the path stays", "/v1/caf\xc3\xa9"),
	kept("bytes in the path that are not UTF-8 stay", "/v1/caf\xe9"),
	kept("an escaped line break in the path stays", "/v1/a%0d%0aX-Evil:%201"),
	kept("an escaped zero in the path stays", "/v1/a%00b"),
	kept("a query stays", "/v1/client?__clerk_api_version=2025-11-10&_method=PATCH"),
	kept("an empty query stays", "/v1/client?"),
	kept("several question marks stay", "/v1/client?a=1?b=2??"),
	kept("a query without names stays", "/v1/client?&&=&a"),
	kept("semicolons, pluses and escapes in a query stay", "/v1/client?a=b;c=d+e%20f%2B%2f"),
	kept("an invalid escape in a query stays", "/v1/client?a=%zz%"),
	kept("quotes, pipes and brackets in a query stay", "/v1/client?a=\"b\"'c'|<d>{e}[f]`^\\"),
	kept("UTF-8 in a query stays", "/v1/client?q=caf\xc3\xa9"),
	kept("bytes in a query that are not UTF-8 stay", "/v1/client?q=caf\xe9"),
	kept("dot segments in a query stay", "/v1/client?next=/../x/./y"),
	kept("a long target stays", "/v1/client?q="+strings.Repeat("0123456789", 700)),
	{name: "a hash sign in the path is refused", request: get("/__clerk/v1/client#x"), want: fields{"upstream.requests": "0", "client.status": "400"}},
	{name: "a hash sign in a query is refused", request: get("/__clerk/v1/client?a=b#x"), want: fields{"upstream.requests": "0", "client.status": "400"}},
	{name: "an invalid escape in the path is refused", request: get("/__clerk/v1/a%zz"), want: fields{"upstream.requests": "0", "client.status": "400"}},
	{name: "the Frontend API's own path comes first", mount: "base path", request: get("/__clerk/v1/client?x"), want: forwardedTo("/fapi/base/v1/client?x")},
	{name: "the path itself is the Frontend API's own path", mount: "base path", request: get("/__clerk"), want: forwardedTo("/fapi/base/")},
	{name: "two slashes after the Frontend API's own path stay", mount: "base path", request: get("/__clerk//evil.com/x"), want: forwardedTo("/fapi/base//evil.com/x")},
	{name: "dot segments after the Frontend API's own path stay", mount: "base path", request: get("/__clerk/v1/%2e%2e/%2e%2e/%2e%2e/x"), want: forwardedTo("/fapi/base/v1/%2e%2e/%2e%2e/%2e%2e/x")},
}
