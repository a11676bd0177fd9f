package conformance

// both yardsticks differ from us in the same field.
const both subject = "both"

// A difference is a deliberate one between our proxy and a yardstick.
type difference struct {
	id string
	// theirs is what the yardstick does.
	theirs string
	// reason is why ours does otherwise, with the rule that says so.
	reason string
	at     []place
}

// A place is where a difference shows.
type place struct {
	who      subject
	testCase string
	field    string
	// ours is the value of our proxy's observation.
	ours string
}

var differences = []difference{
	{
		id:     "dot-segments",
		theirs: "Dot segments, escaped ones too, are resolved before the path is matched and forwarded.",
		reason: "What looks at the path in front of the proxy and the proxy itself must see the same path, so the target is matched and forwarded byte for byte as sent (contract, *target*).",
		at: []place{
			{both, "dot segments after the Frontend API's own path stay", "upstream.requests", "1"},
			{both, "dot segments that lead to the path are the application's", "upstream.requests", "0"},
			{both, "dot segments that lead out of the path are forwarded as sent", "upstream.requests", "1"},
			{both, "escaped dot segments that lead out of the path are forwarded as sent", "upstream.requests", "1"},
			{both, "a single dot segment stays", "upstream.line", "GET /./v1/./client"},
			{both, "dot segments within the path stay", "upstream.line", "GET /v1/x/../client"},
		},
	},
	{
		id:     "backslash",
		theirs: "A backslash is taken for a slash.",
		reason: "It is none in HTTP: RFC 3986 §3.3 separates segments by slashes only (contract, *target*).",
		at: []place{
			{both, "a backslash is no slash", "upstream.requests", "0"},
			{both, "a backslash in the path stays", "upstream.line", "GET /v1\\..\\client"},
		},
	},
	{
		id:     "authority-like-path",
		theirs: "A path that begins with two slashes is taken for a URL with another host: `//evil.com/__clerk/…` is forwarded.",
		reason: "A target that begins with a slash is a path and names no host (RFC 9112 §3.2.1).",
		at: []place{
			{express, "a path that looks like an authority is the application's", "upstream.requests", "0"},
		},
	},
	{
		id:     "re-encoding",
		theirs: "Quotes, brackets and back quotes are percent-encoded anew.",
		reason: "The target is forwarded byte for byte as sent (contract, *target*).",
		at: []place{
			{both, "quotes and brackets in the path stay", "upstream.line", "GET /v1/\"a\"<b>{c}[d]`e"},
			{both, "quotes, pipes and brackets in a query stay", "upstream.line", "GET /v1/client?a=\"b\"'c'|<d>{e}[f]`^\\"},
		},
	},
	{
		id:     "bytes-beyond-ascii",
		theirs: "Node's HTTP server refuses a target with bytes beyond ASCII.",
		reason: "The target is forwarded byte for byte as sent; whether it is valid is for the Frontend API to say (contract, *target*).",
		at: []place{
			{both, "UTF-8 in the path stays", "client.status", "200"},
			{both, "UTF-8 in the path stays", "upstream.requests", "1"},
			{both, "bytes in the path that are not UTF-8 stay", "client.status", "200"},
			{both, "bytes in the path that are not UTF-8 stay", "upstream.requests", "1"},
			{both, "UTF-8 in a query stays", "client.status", "200"},
			{both, "UTF-8 in a query stays", "upstream.requests", "1"},
			{both, "bytes in a query that are not UTF-8 stay", "client.status", "200"},
			{both, "bytes in a query that are not UTF-8 stay", "upstream.requests", "1"},
		},
	},
	{
		id:     "invalid-escape",
		theirs: "A path with an invalid escape is forwarded.",
		reason: "`net/http` refuses it: a percent sign begins an escape or it is no path (RFC 3986 §2.1).",
		at: []place{
			{both, "an invalid escape in the path is refused", "client.status", "400"},
			{both, "an invalid escape in the path is refused", "upstream.requests", "0"},
		},
	},
	{
		id:     "hash-sign",
		theirs: "What follows a hash sign in the target is dropped.",
		reason: "A target has none (RFC 9112 §3.2, RFC 9113 §8.3.1). To some it begins a fragment, to others it is part of the path: what one lets pass would be another thing to the next.",
		at: []place{
			{both, "a hash sign in the path is refused", "client.status", "400"},
			{both, "a hash sign in the path is refused", "upstream.requests", "0"},
			{both, "a hash sign in a query is refused", "client.status", "400"},
			{both, "a hash sign in a query is refused", "upstream.requests", "0"},
		},
	},
	{
		id:     "empty-query",
		theirs: "The question mark of an empty query is dropped.",
		reason: "The target is forwarded byte for byte as sent, with an empty `?` (contract, *target*).",
		at: []place{
			{both, "an empty query stays", "upstream.line", "GET /v1/client?"},
		},
	},
	{
		id:     "development-keys",
		theirs: "The keys of a development instance are sent to the Frontend API like any other.",
		reason: "Clerk proxies production instances only, says its guide: the proxy is off, and one warning says why (contract, `pk_test_` *keys*).",
		at: []place{
			{both, "with the keys of a development instance all is the application's", "upstream.requests", "0"},
		},
	},
	{
		id:     "public-origin-in-parts",
		theirs: "`X-Forwarded-Proto` and `-Host` are believed only when both are there, and `enabled` looks at neither.",
		reason: "Many a proxy in front sets only one and leaves Host alone; the public origin is what the browser sees, for `Config.Enabled` too (contract, *whose address, which origin*).",
		at: []place{
			{both, "the proxy is enabled by the public host, not the internal one", "upstream.requests", "1"},
			{both, "a scheme alone from the proxy in front is believed", "upstream.header.clerk-proxy-url", "https://app.example.com/__clerk"},
			{both, "a host alone from the proxy in front is believed", "upstream.header.clerk-proxy-url", "http://www.example.com/__clerk"},
			{both, "an empty public host is disregarded", "upstream.header.clerk-proxy-url", "https://app.example.com/__clerk"},
			{backend, "an empty public host is disregarded", "upstream.header.x-forwarded-host", "app.example.com"},
		},
	},
	{
		id:     "public-origin-form",
		theirs: "The public origin is passed on as it came: as a list, in capitals, with the scheme's own port, with any scheme.",
		reason: "Clerk compares `Clerk-Proxy-Url` with the configured one as text, so one origin has one spelling (RFC 6454 §4, §6.1), and only http and https are schemes.",
		at: []place{
			{both, "the public scheme's own port is not part of the proxy URL", "upstream.header.clerk-proxy-url", "https://app.example.com/__clerk"},
			{both, "the public scheme's own port is not part of the proxy URL", "upstream.header.x-forwarded-host", "app.example.com"},
			{both, "a public host in capitals is the same host", "upstream.header.clerk-proxy-url", "https://app.example.com/__clerk"},
			{both, "a public host in capitals is the same host", "upstream.header.x-forwarded-host", "app.example.com"},
			{both, "of several public origins the first counts", "upstream.header.x-forwarded-host", "app.example.com"},
			{both, "of several public origins the first counts", "upstream.header.x-forwarded-proto", "https"},
			{both, "a public scheme in capitals is the same scheme", "upstream.header.clerk-proxy-url", "https://app.example.com/__clerk"},
			{both, "a public scheme in capitals is the same scheme", "upstream.header.x-forwarded-proto", "https"},
			{both, "a public scheme that is neither http nor https is disregarded", "upstream.header.clerk-proxy-url", "http://app.example.com/__clerk"},
			{both, "a public scheme that is neither http nor https is disregarded", "upstream.header.x-forwarded-proto", "http"},
		},
	},
	{
		id:     "public-host-that-is-none",
		theirs: "A public host with a path, or any other text, becomes part of `Clerk-Proxy-Url`.",
		reason: "Such a value must not end up in a URL that Clerk or a browser follows (contract, *whose address, which origin*).",
		at: []place{
			{both, "a public host that is none is refused", "client.status", "400"},
			{both, "a public host that is none is refused", "upstream.requests", "0"},
		},
	},
	{
		id:     "strangers-origin",
		theirs: "`X-Forwarded-Host` and `-Proto` are believed of anyone.",
		reason: "From a peer that is no trusted proxy every forwarded header is disregarded and replaced (contract, *whose address, which origin*).",
		at: []place{
			{both, "a stranger does not choose the public origin", "upstream.header.clerk-proxy-url", "http://app.example.com/__clerk"},
			{both, "a stranger does not choose the public origin", "upstream.header.x-forwarded-host", "app.example.com"},
			{both, "a stranger does not choose the public origin", "upstream.header.x-forwarded-proto", "http"},
		},
	},
	{
		id:     "absolute-proxy-url",
		theirs: "There is no setting for it: the proxy URL always comes from the request.",
		reason: "Where the configured proxy URL is absolute, Clerk is told that one (contract, `Clerk-Proxy-Url`).",
		at: []place{
			{both, "a configured absolute proxy URL is what Clerk is told", "upstream.header.clerk-proxy-url", "https://www.example.com/__clerk"},
			{both, "a configured absolute proxy URL is what redirects lead to", "client.header.location", "https://www.example.com/__clerk/v1/client"},
			{both, "a configured absolute proxy URL is what redirects lead to", "upstream.header.clerk-proxy-url", "https://www.example.com/__clerk"},
		},
	},
	{
		id:     "known-hosts",
		theirs: "There is no setting for it: any Host is accepted and ends up in `Clerk-Proxy-Url`.",
		reason: "`Config.Hosts` keeps invented hosts away from Clerk and from redirects; the answer is that of RFC 9110 §15.5.20 (contract, *whose address, which origin*).",
		at: []place{
			{both, "an invented Host is refused", "client.status", "421"},
			{both, "an invented Host is refused", "upstream.requests", "0"},
			{both, "an invented public host is refused", "client.status", "421"},
			{both, "an invented public host is refused", "upstream.requests", "0"},
		},
	},
	{
		id:     "address-of-the-connection",
		theirs: "Without any header that gives one, no address is sent.",
		reason: "Clerk limits and guards by the address and calls a proxy without one unhealthy; the connection's own is then the client's (contract, `X-Forwarded-For`).",
		at: []place{
			{both, "without X-Forwarded-For it is the address of the connection", "upstream.header.x-forwarded-for", "127.0.0.1"},
		},
	},
	{
		id:     "address-from-the-left",
		theirs: "The leftmost entry of `X-Forwarded-For` is sent, which a client can choose.",
		reason: "Only what trusted proxies appended can be believed, so the list is walked from the right (contract, *whose address, which origin*).",
		at: []place{
			{both, "what the client invented on the left is disregarded", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "what the client invented on the left is disregarded behind several proxies", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "the client's own line comes first and is disregarded", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "what is no address ends the walk", "upstream.header.x-forwarded-for", "10.0.0.2"},
			{both, "what is no address on the left is not reached", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "a long list is walked from the right", "upstream.header.x-forwarded-for", "203.0.113.7"},
		},
	},
	{
		id:     "address-form",
		theirs: "The entry is sent as it came: with a port, in brackets, in capitals, or if it is no address at all.",
		reason: "Addresses are sent in canonical form (RFC 5952), and what does not parse is not sent (contract, *whose address, which origin*).",
		at: []place{
			{both, "an IPv6 address is written in its canonical form", "upstream.header.x-forwarded-for", "2001:db8::7"},
			{both, "an IPv6 address in brackets with a port is an address", "upstream.header.x-forwarded-for", "2001:db8::7"},
			{both, "an IPv6 address in brackets is an address", "upstream.header.x-forwarded-for", "2001:db8::7"},
			{both, "an IPv4 address with a port is an address", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "an IPv4-mapped address is the IPv4 address", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "a zone means nothing elsewhere", "upstream.header.x-forwarded-for", "fe80::1"},
			{both, "what is no address is not forwarded", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "an empty list is no list", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "commas are no address", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "the unspecified address is no address", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "an address with leading zeros is no address", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "a configured CF-Connecting-IP goes before X-Forwarded-For", "upstream.header.x-forwarded-for", "2001:db8::1"},
			{both, "a configured header that is no address leaves X-Forwarded-For", "upstream.header.x-forwarded-for", "203.0.113.7"},
		},
	},
	{
		id:     "address-from-any-header",
		theirs: "`CF-Connecting-IP` and `X-Real-IP` are believed of anyone, whether a proxy in front sets them or not.",
		reason: "Any client could choose its address; only the configured header is read (contract, *whose address, which origin*).",
		at: []place{
			{both, "CF-Connecting-IP is not believed unless configured", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "X-Real-IP is not believed unless configured", "upstream.header.x-forwarded-for", "203.0.113.7"},
			{both, "CF-Connecting-IP is not believed where X-Real-IP is configured", "upstream.header.x-forwarded-for", "198.51.100.1"},
		},
	},
	{
		id:     "address-header-twice",
		theirs: "Two values of a client address header are sent as one list.",
		reason: "That the proxy in front sets the header once means that one of two lines is not the proxy's: neither is believed (contract, *whose address, which origin*).",
		at: []place{
			{both, "a configured header sent twice leaves X-Forwarded-For", "upstream.header.x-forwarded-for", "203.0.113.7"},
		},
	},
	{
		id:     "cloudfront",
		theirs: "`CloudFront-Viewer-Address` is not read.",
		reason: "It is the only header in which CloudFront gives the viewer's address beyond doubt (contract, *whose address, which origin*).",
		at: []place{
			{both, "CloudFront's port is stripped from an IPv4 address", "upstream.header.x-forwarded-for", "198.51.100.1"},
			{both, "CloudFront's port is stripped from an IPv6 address", "upstream.header.x-forwarded-for", "2001:db8::1"},
		},
	},
	{
		id:     "strangers-address",
		theirs: "A stranger's `X-Forwarded-For` and client address headers are believed and forwarded.",
		reason: "From a peer that is no trusted proxy they are disregarded and replaced (contract, *whose address, which origin*).",
		at: []place{
			{both, "a stranger does not choose the public origin", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "a stranger's X-Forwarded-For is replaced", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "a stranger's CF-Connecting-IP is dropped", "upstream.header.cf-connecting-ip", "(absent)"},
			{both, "a stranger's CF-Connecting-IP is dropped", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "a stranger's other claims are dropped", "upstream.header.forwarded", "(absent)"},
			{both, "a stranger's other claims are dropped", "upstream.header.true-client-ip", "(absent)"},
			{both, "a stranger's other claims are dropped", "upstream.header.x-forwarded-for", "127.0.0.1"},
			{both, "a stranger's other claims are dropped", "upstream.header.x-forwarded-port", "(absent)"},
			{both, "a stranger's other claims are dropped", "upstream.header.x-real-ip", "(absent)"},
		},
	},
	{
		id:     "repeated-request-headers",
		theirs: "Several lines of a header become one, joined by commas (`Cookie`: semicolons).",
		reason: "Repeated values are kept as they are (contract, *other request headers*); a list is not always what a comma makes of it.",
		at: []place{
			{both, "a configured header sent twice leaves X-Forwarded-For", "upstream.header.cf-connecting-ip", "198.51.100.1\n198.51.100.2"},
			{both, "a repeated header keeps its lines", "upstream.header.x-repeated", "2\n1\n3"},
			{both, "cookies on several lines are forwarded", "upstream.header.cookie", "a=1\nb=2"},
		},
	},
	{
		id:     "empty-request-header",
		theirs: "An empty header is dropped.",
		reason: "All request headers travel intact (contract, *other request headers*).",
		at: []place{
			{express, "an empty header stays", "upstream.header.x-empty", ""},
		},
	},
	{
		id:     "accept-encoding",
		theirs: "`Accept-Encoding` becomes `identity`.",
		reason: "*Better*: it stays the client's, so ClerkJS travels compressed (contract, *other request headers*).",
		at: []place{
			{both, "Accept-Encoding is the client's", "upstream.header.accept-encoding", "gzip, deflate, br, zstd"},
			{both, "no Accept-Encoding is added", "upstream.header.accept-encoding", "(absent)"},
			{both, "Range is forwarded", "upstream.header.accept-encoding", "identity"},
			{both, "a compressed answer arrives byte for byte", "upstream.header.accept-encoding", "gzip"},
		},
	},
	{
		id:     "fetch-headers",
		theirs: "Node's `fetch` adds `Accept`, `Accept-Language`, `User-Agent` and `Sec-Fetch-Mode`, and to conditional requests `Cache-Control` and `Pragma`.",
		reason: "All request headers travel intact, and none is invented: Clerk weighs what kind of browser and request it sees (contract, *other request headers*).",
		at: []place{
			{both, "ordinary headers are forwarded", "upstream.header.cache-control", "(absent)"},
			{both, "ordinary headers are forwarded", "upstream.header.pragma", "(absent)"},
			{both, "no Accept is added", "upstream.header.accept", "(absent)"},
			{both, "no Accept-Language is added", "upstream.header.accept-language", "(absent)"},
			{both, "no User-Agent is added", "upstream.header.user-agent", "(absent)"},
			{both, "no Sec-Fetch-Mode is added", "upstream.header.sec-fetch-mode", "(absent)"},
			{both, "Sec-Fetch-Mode is the browser's", "upstream.header.sec-fetch-mode", "navigate"},
			{both, "Range is forwarded", "upstream.header.cache-control", "(absent)"},
			{both, "Range is forwarded", "upstream.header.pragma", "(absent)"},
			{both, "an answer that is not modified keeps its headers", "upstream.header.cache-control", "(absent)"},
			{both, "an answer that is not modified keeps its headers", "upstream.header.pragma", "(absent)"},
		},
	},
	{
		id:     "proxy-connection",
		theirs: "`Proxy-Connection` is forwarded, both ways.",
		reason: "It is hop-by-hop (RFC 9110 §7.6.1).",
		at: []place{
			{both, "Proxy-Connection is dropped", "upstream.header.proxy-connection", "(absent)"},
			{both, "Proxy-Connection of the answer is dropped", "client.header.proxy-connection", "(absent)"},
		},
	},
	{
		id:     "empty-chunked-body",
		theirs: "A body of no chunks becomes one of length zero.",
		reason: "A length that the client did not give is not known before the body's end, and nothing is held back until then (contract, *body*).",
		at: []place{
			{both, "POST in no chunks", "upstream.length", "chunked"},
		},
	},
	{
		id:     "bodies-of-other-methods",
		theirs: "Bodies are lost: with GET always, with DELETE, OPTIONS and others by Express.",
		reason: "Any method may have a body, and it travels (contract, *body*; RFC 9110 §9.1).",
		at: []place{
			{express, "DELETE with a length", "upstream.body", "identifier=ada%40example.com&strategy=password"},
			{express, "DELETE with a length", "upstream.length", "46"},
			{express, "DELETE in chunks", "upstream.body", "identifier=ada%40example.com&strategy=password"},
			{express, "DELETE in chunks", "upstream.length", "chunked"},
			{express, "OPTIONS with a length", "upstream.body", "identifier=ada%40example.com&strategy=password"},
			{express, "OPTIONS with a length", "upstream.length", "46"},
			{both, "GET with a length", "upstream.body", "identifier=ada%40example.com&strategy=password"},
			{both, "GET with a length", "upstream.length", "46"},
			{both, "GET in chunks", "upstream.body", "identifier=ada%40example.com&strategy=password"},
			{both, "GET in chunks", "upstream.length", "chunked"},
			{express, "a method of WebDAV with a body", "upstream.body", "identifier=ada%40example.com&strategy=password"},
			{express, "a method of WebDAV with a body", "upstream.length", "46"},
		},
	},
	{
		id:     "method-case",
		theirs: "Node's HTTP server refuses methods that it does not know.",
		reason: "Methods are any token and case-sensitive (RFC 9110 §9.1); what they mean is for the Frontend API to say.",
		at: []place{
			{both, "a method in small letters is not the one in capitals", "client.status", "200"},
			{both, "a method in small letters is not the one in capitals", "upstream.requests", "1"},
		},
	},
	{
		id:     "trace",
		theirs: "The status is a bare 400.",
		reason: "405 with `Allow` says what is the matter (RFC 9110 §15.5.6); nobody forwards TRACE.",
		at: []place{
			{both, "TRACE is refused, as its answer would hold the secret key", "client.status", "405"},
		},
	},
	{
		id:     "connect",
		theirs: "Node's HTTP server closes the connection.",
		reason: "A CONNECT target has no path, so it is not the proxy's and is passed on to the application (contract, *match*).",
		at: []place{
			{both, "CONNECT is not forwarded", "client.status", "200"},
		},
	},
	{
		id:     "expect-continue",
		theirs: "Node's `fetch` refuses the header: the answer is 502, after the client was told to continue.",
		reason: "`Expect: 100-continue` works (contract, *body*; RFC 9110 §10.1.1).",
		at: []place{
			{both, "a body that waits for 100 Continue is asked for and forwarded", "client.status", "200"},
			{both, "a body that waits for 100 Continue is asked for and forwarded", "upstream.requests", "1"},
		},
	},
	{
		id:     "informational",
		theirs: "103 and 102 are dropped, and a 100 that was not asked for makes the answer a 502.",
		reason: "Informational responses are passed on (contract, *response*), and a 100 may always be disregarded (RFC 9110 §15.2.1).",
		at: []place{
			{both, "early hints are passed on", "client.interim", "103 link: </a.js>; rel=preload"},
			{both, "early hints twice are passed on twice", "client.interim", "103 link: </a.js>\n103 link: </b.js>"},
			{both, "102 Processing is passed on", "client.interim", "102"},
			{both, "100 Continue that nobody waits for is not in the way", "client.status", "200"},
		},
	},
	{
		id:     "status-above-599",
		theirs: "The answer is 502.",
		reason: "The status is the Frontend API's to choose; a client takes one above 599 for a server error (RFC 9110 §15).",
		at: []place{
			{both, "the status 600 arrives", "client.status", "600"},
		},
	},
	{
		id:     "set-cookie",
		theirs: "Of several `Set-Cookie` lines Express keeps the last.",
		reason: "Every cookie is a line of its own (contract, *response*; RFC 6265 §3), or signing in fails.",
		at: []place{
			{express, "every Set-Cookie is a line of its own", "client.header.set-cookie", "__client=a; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly\n__client_uat=1\nz="},
		},
	},
	{
		id:     "repeated-response-headers",
		theirs: "Several lines of a header become one, joined by commas.",
		reason: "Headers travel intact (contract, *response*); a list is not always what a comma makes of it.",
		at: []place{
			{both, "a repeated header of the answer keeps its lines", "client.header.link", "</a>; rel=next\n</b>; rel=prev"},
			{both, "Vary on several lines arrives", "client.header.vary", "Origin\nAccept-Encoding"},
			{both, "challenges on several lines arrive", "client.header.www-authenticate", "Basic realm=\"a, b\"\nBearer"},
		},
	},
	{
		id:     "underscores",
		theirs: "`Clerk_Secret_Key` is forwarded.",
		reason: "What reads headers as CGI does takes an underscore for a hyphen (RFC 3875 §4.1.18), and would have two keys to choose from.",
		at: []place{
			{both, "a header that is the secret key's to whom reads underscores as hyphens is dropped", "upstream.header.clerk_secret_key", "(absent)"},
		},
	},
	{
		id:     "echoed-secret-key",
		theirs: "An answer that echoes the request hands the secret key out.",
		reason: "The secret key never leaves for a browser (contract, `Clerk-Secret-Key`).",
		at: []place{
			{both, "an answer that echoes the secret key does not give it away", "client.header.clerk-secret-key", "(absent)"},
		},
	},
	{
		id:     "compressed-answer",
		theirs: "A compressed answer is decompressed; `Content-Encoding` is dropped, also where the encoding is unknown and the body stays as it is.",
		reason: "Body and `Content-Encoding` are kept byte for byte (contract, *response*); without the header nobody can read what was not decompressed.",
		at: []place{
			{both, "a compressed answer arrives byte for byte", "client.body", "\x1f\x8b\b\x00\x00\x00\x00\x00\x00\xff\xcaH\xcd\xc9\xc9\a\x04\x00\x00\xff\xff\x86\xa6\x106\x05\x00\x00\x00"},
			{both, "a compressed answer arrives byte for byte", "client.header.content-encoding", "gzip"},
			{both, "a compressed answer that was not asked for arrives byte for byte", "client.body", "\x1f\x8b\b\x00\x00\x00\x00\x00\x00\xff\xcaH\xcd\xc9\xc9\a\x04\x00\x00\xff\xff\x86\xa6\x106\x05\x00\x00\x00"},
			{both, "a compressed answer that was not asked for arrives byte for byte", "client.header.content-encoding", "gzip"},
			{both, "an encoding that nobody knows arrives byte for byte", "client.header.content-encoding", "x-odd"},
		},
	},
	{
		id:     "content-length",
		theirs: "`Content-Length` is dropped, in the answer to HEAD too.",
		reason: "It is kept (contract, *response*): a download shows its progress, and a body that is cut short is noticed.",
		at: []place{
			{both, "an answer that does not wait for the body arrives", "client.header.content-length", "2"},
			{both, "a content length arrives", "client.header.content-length", "5"},
			{both, "the length in the answer to HEAD arrives", "client.header.content-length", "12345"},
			{both, "the first byte of an answer of known length arrives before the last is sent", "client.header.content-length", "9"},
			{both, "a body that is cut short is not taken for a whole one", "client.header.content-length", "10"},
			{both, "an upstream that stalls within its body is cut", "client.header.content-length", "10"},
		},
	},
	{
		id:     "head-first",
		theirs: "The head of an answer is held back until the first byte of its body.",
		reason: "An answer is passed on as it arrives (contract, *response*); an event stream may begin with silence.",
		at: []place{
			{both, "the head of an answer arrives before its body", "client.status", "200"},
		},
	},
	{
		id:     "trailers",
		theirs: "Trailers are dropped.",
		reason: "They are kept (contract, *response*; RFC 9110 §6.5).",
		at: []place{
			{both, "announced trailers arrive", "client.header.trailer", "X-More\nX-Sum"},
			{both, "announced trailers arrive", "client.trailer.x-more", "2"},
			{both, "announced trailers arrive", "client.trailer.x-sum", "1"},
			{both, "trailers that nobody announced arrive", "client.trailer.x-sum", "1"},
		},
	},
	{
		id:     "redirect-to-the-origin",
		theirs: "A slash is added to a redirect to the mere origin.",
		reason: "What was not there is not added; both lead to the Frontend API's root.",
		at: []place{
			{both, "a redirect to the mere origin leads to the proxy's root", "client.header.location", "http://app.example.com/__clerk"},
			{both, "a redirect to the origin with a query leads to the proxy's root", "client.header.location", "http://app.example.com/__clerk?a=b"},
		},
	},
	{
		id:     "relative-redirect",
		theirs: "A relative `Location` is resolved against the root.",
		reason: "It is relative to the request (RFC 9110 §10.2.2).",
		at: []place{
			{both, "a relative redirect below the Frontend API's own path leads to the proxy", "client.header.location", "http://app.example.com/__clerk/v1/other"},
			{both, "a relative redirect is resolved against the request", "client.header.location", "http://app.example.com/__clerk/v1/client/sync?a=b"},
			{both, "a redirect to a query is one to the same path", "client.header.location", "http://app.example.com/__clerk/v1/client?a=b"},
			{both, "a redirect to a fragment is one to the same path", "client.header.location", "http://app.example.com/__clerk/v1/client#a"},
			{both, "a relative redirect from a path with two slashes stays with the host", "client.header.location", "http://app.example.com/__clerk//v1//x"},
		},
	},
	{
		id:     "redirect-below-a-base-path",
		theirs: "The path of the Frontend API's own URL is not taken off again.",
		reason: "A redirect must lead where its target is, and following one to `/__clerk/fapi/base/…` would put the path there twice (contract, `Location`).",
		at: []place{
			{both, "a redirect below the Frontend API's own path leads to the proxy", "client.header.location", "http://app.example.com/__clerk/v1/client"},
			{both, "a redirect to a path below the Frontend API's own path leads to the proxy", "client.header.location", "http://app.example.com/__clerk/v1/client"},
			{both, "a redirect elsewhere on the Frontend API's host is untouched", "client.header.location", "http://{upstream}/elsewhere"},
		},
	},
	{
		id:     "redirect-with-credentials",
		theirs: "Credentials in a redirect to the Frontend API are dropped.",
		reason: "A redirect that is not simply to the Frontend API is left untouched (contract, `Location`).",
		at: []place{
			{both, "a redirect with credentials to the Frontend API is untouched", "client.header.location", "http://user:password@{upstream}/v1/client"},
		},
	},
	{
		id:     "redirect-to-another-scheme",
		theirs: "A redirect to an application's own scheme is taken for one to the Frontend API if the host is the same.",
		reason: "Only http and https lead to the Frontend API; anything else is left untouched (contract, `Location`).",
		at: []place{
			{both, "a redirect to another scheme is untouched", "client.header.location", "myapp://{upstream}/callback?token=1"},
		},
	},
	{
		id:     "length-and-chunks",
		theirs: "Node's HTTP server refuses a request with both.",
		reason: "`net/http` goes by the chunks and drops the length, and the proxy closes the connection after the answer, as RFC 9112 §6.1 and §6.3 ask of whoever does not refuse.",
		at: []place{
			{both, "a length together with chunks counts for nothing", "client.status", "200"},
			{both, "a length together with chunks counts for nothing", "upstream.requests", "1"},
			{both, "a length together with chunks ends the connection", "client.status", "200"},
			{both, "a length together with chunks ends the connection", "upstream.requests", "1"},
		},
	},
	{
		id:     "same-length-twice",
		theirs: "Node's HTTP server refuses `Content-Length` twice with one value.",
		reason: "It may be taken as one (RFC 9110 §8.6).",
		at: []place{
			{both, "two lengths that agree are one", "client.status", "200"},
			{both, "two lengths that agree are one", "upstream.requests", "1"},
		},
	},
	{
		id:     "unknown-transfer-coding",
		theirs: "The status is 400.",
		reason: "501 is the status for a transfer coding that is not understood (RFC 9112 §6.1).",
		at: []place{
			{both, "chunked within another coding is refused", "client.status", "501"},
			{both, "a coding that nobody knows is refused", "client.status", "501"},
			{both, "chunked twice is refused", "client.status", "501"},
		},
	},
	{
		id:     "folded-header",
		theirs: "Node's HTTP server refuses a folded header.",
		reason: "It may be unfolded into one line instead (RFC 9112 §5.2).",
		at: []place{
			{both, "a folded header is unfolded", "client.status", "200"},
			{both, "a folded header is unfolded", "upstream.requests", "1"},
		},
	},
	{
		id:     "bare-line-feed",
		theirs: "Node's HTTP server refuses lines that end in a bare line feed.",
		reason: "They may be recognised (RFC 9112 §2.2); what is forwarded has none.",
		at: []place{
			{both, "bare line feeds end lines", "client.status", "200"},
			{both, "bare line feeds end lines", "upstream.requests", "1"},
		},
	},
	{
		id:     "torn-body",
		theirs: "A request whose chunks are malformed gets a bare 400 from Node's HTTP server.",
		reason: "The answer is an error in Clerk's shape, which ClerkJS can show (contract, *our own errors*).",
		at: []place{
			{both, "a chunk size that is no number is refused", "client.body", "{\"errors\":[{\"code\":\"proxy_request_failed\",\"message\":\"…\"}]}"},
			{both, "a chunk that is longer than it says is refused", "client.body", "{\"errors\":[{\"code\":\"proxy_request_failed\",\"message\":\"…\"}]}"},
			{both, "a chunk size that overflows is refused", "client.body", "{\"errors\":[{\"code\":\"proxy_request_failed\",\"message\":\"…\"}]}"},
		},
	},
	{
		id:     "two-hosts",
		theirs: "Node's HTTP server takes the first of two Hosts.",
		reason: "A request with two is refused (RFC 9112 §3.2).",
		at: []place{
			{both, "a request with two Hosts is refused", "client.status", "400"},
			{both, "a request with two Hosts is refused", "upstream.requests", "0"},
		},
	},
	{
		id:     "host-that-is-none",
		theirs: "A Host that is no host is forwarded as part of `Clerk-Proxy-Url`, changes the path that is matched, or gets a bare 400.",
		reason: "Such a value must not end up in a URL; the answer is an error in Clerk's shape (contract, *whose address, which origin*; RFC 9112 §3.2).",
		at: []place{
			{express, "an empty Host is refused", "client.body", "{\"errors\":[{\"code\":\"proxy_request_failed\",\"message\":\"…\"}]}"},
			{backend, "an empty Host is refused", "client.status", "400"},
			{both, "a Host with a path is refused", "client.status", "400"},
			{both, "a Host with a path is refused", "upstream.requests", "0"},
			{both, "a Host with a query is refused", "client.status", "400"},
			{express, "a Host with a query is refused", "upstream.requests", "0"},
			{both, "a Host with a port that is none is refused", "client.body", "{\"errors\":[{\"code\":\"proxy_request_failed\",\"message\":\"…\"}]}"},
		},
	},
	{
		id:     "no-version",
		theirs: "Node's HTTP server takes a request line without a version for HTTP/1.",
		reason: "A request line has one (RFC 9112 §3).",
		at: []place{
			{both, "a request line without a version is refused", "client.status", "400"},
			{both, "a request line without a version is refused", "upstream.requests", "0"},
		},
	},
	{
		id:     "unknown-version",
		theirs: "The status is 400.",
		reason: "505 is the status for a version that is not supported (RFC 9110 §15.6.6).",
		at: []place{
			{both, "a version that nobody knows is refused", "client.status", "505"},
		},
	},
	{
		id:     "timeout",
		theirs: "There is none: a request waits for as long as the upstream is silent.",
		reason: "A silent upstream is a 504, or within the body a cut connection (contract, *upstream fails*).",
		at: []place{
			{both, "an upstream that stalls before its head is a timeout", "client.status", "504"},
			{both, "an upstream that stalls before its head is a timeout", "upstream.end", "aborted"},
			{both, "an upstream that stalls within its head is a timeout", "client.status", "504"},
			{both, "an upstream that stalls within its head is a timeout", "upstream.end", "aborted"},
			{both, "an upstream that stalls within its body is cut", "client.end", "cut"},
			{express, "an upstream that stalls within its body is cut", "upstream.end", "aborted"},
			{both, "an upstream that stalls within a chunked body is cut", "client.end", "cut"},
			{express, "an upstream that stalls within a chunked body is cut", "upstream.end", "aborted"},
		},
	},
	{
		id:     "cut-body",
		theirs: "When the upstream's body breaks off, Express leaves the client waiting; the error that `@clerk/express` does not handle would end the process.",
		reason: "The connection is cut so that nobody takes half a body for a whole one (contract, *upstream fails*).",
		at: []place{
			{express, "a body that is cut short is not taken for a whole one", "client.end", "cut"},
			{express, "a chunked body that is cut short is not taken for a whole one", "client.end", "cut"},
			{express, "a chunked body that is reset is not taken for a whole one", "client.end", "cut"},
			{express, "a malformed chunk is not taken for the end", "client.end", "cut"},
		},
	},
	{
		id:     "client-gone",
		theirs: "A request upstream goes on although its client has left.",
		reason: "*Better*: it is cancelled (contract, *client goes away*).",
		at: []place{
			{both, "a client that leaves before the answer ends the request upstream", "upstream.end", "aborted"},
			{express, "a client that leaves within the answer ends the request upstream", "upstream.end", "aborted"},
		},
	},
}
