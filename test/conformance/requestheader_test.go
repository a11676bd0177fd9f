package conformance

import "strings"

var long = strings.Repeat("abcdefghij", 600)

var requestHeaderCases = []testCase{
	{name: "ordinary headers are forwarded", request: with("Origin: https://app.example.com", "Referer: https://app.example.com/sign-in", "X-Mobile: 0", "If-None-Match: W/\"1\", \"2\""), want: also(receives("origin", "https://app.example.com"), receives("referer", "https://app.example.com/sign-in"), receives("x-mobile", "0"), receives("if-none-match", `W/"1", "2"`))},
	{name: "a repeated header keeps its lines", request: with("X-Repeated: 2", "X-Other: x", "X-Repeated: 1", "x-repeated: 3"), want: receives("x-repeated", "2\n1\n3")},
	{name: "an empty header stays", request: with("X-Empty:"), want: receives("x-empty", "")},
	{name: "a long header stays", request: with("X-Long: " + long), want: receives("x-long", long)},
	{name: "a header name of odd case is the same name", request: with("x-oDD-cASE: 1"), want: receives("x-odd-case", "1")},
	{name: "a header name of odd characters stays", request: with("X_Under.Score!~: 1"), want: receives("x_under.score!~", "1")},
	{name: "UTF-8 in a header stays", request: with("X-Name: caf\xc3\xa9"), want: receives("x-name", "caf\xc3\xa9")},
	{name: "Latin-1 in a header stays", request: with("X-Name: caf\xe9"), want: receives("x-name", "caf\xe9")},
	{name: "white space within a header stays", request: with("X-Space: a \t b"), want: receives("x-space", "a \t b")},
	{name: "cookies are forwarded", request: with("Cookie: __session=a.b.c; __client_uat=1; x=\"q=1\""), want: receives("cookie", `__session=a.b.c; __client_uat=1; x="q=1"`)},
	{name: "cookies on several lines are forwarded", request: with("Cookie: a=1", "Cookie: b=2"), want: receives("cookie", "a=1\nb=2")},
	{name: "Authorization is forwarded", request: with("Authorization: Bearer a.b.c"), want: receives("authorization", "Bearer a.b.c")},
	{name: "Accept-Encoding is the client's", request: with("Accept-Encoding: gzip, deflate, br, zstd"), want: receives("accept-encoding", "gzip, deflate, br, zstd")},
	{name: "no Accept-Encoding is added", request: with("-Accept-Encoding"), want: receives("accept-encoding", absent)},
	{name: "no Accept is added", request: with("-Accept"), want: receives("accept", absent)},
	{name: "no Accept-Language is added", request: with("-Accept-Language"), want: receives("accept-language", absent)},
	{name: "no User-Agent is added", request: with("-User-Agent"), want: receives("user-agent", absent)},
	{name: "no Sec-Fetch-Mode is added", request: with("-Sec-Fetch-Mode"), want: receives("sec-fetch-mode", absent)},
	{name: "Sec-Fetch-Mode is the browser's", request: with("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"), want: also(receives("sec-fetch-mode", "navigate"), receives("sec-fetch-dest", "document"))},
	{name: "Cache-Control and Pragma are the browser's", request: with("Cache-Control: no-cache", "Pragma: no-cache"), want: also(receives("cache-control", "no-cache"), receives("pragma", "no-cache"))},
	{name: "Range is forwarded", request: with("Range: bytes=0-9", "If-Range: \"1\""), answer: answer("206 Partial Content", "0123456789", "Content-Range: bytes 0-9/100"), want: fields{"upstream.header.range": "bytes=0-9", "client.status": "206", "client.header.content-range": "bytes 0-9/100"}},
	{name: "Content-Type of a GET is forwarded", request: with("Content-Type: application/json; charset=utf-8"), want: receives("content-type", "application/json; charset=utf-8")},
	{name: "other forwarded headers of the proxy in front stay", request: with("X-Forwarded-Port: 443", "X-Forwarded-Prefix: /x", "Via: 1.1 edge"), want: also(receives("x-forwarded-port", "443"), receives("via", "1.1 edge"))},
	{name: "hop-by-hop headers are dropped", request: with("Keep-Alive: timeout=99", "TE: trailers", "Trailer: X-Sum", "Proxy-Authorization: Basic eDp5"), want: also(receives("keep-alive", absent), receives("te", absent), receives("trailer", absent), receives("proxy-authorization", absent))},
	{name: "Proxy-Connection is dropped", request: with("Proxy-Connection: keep-alive"), want: receives("proxy-connection", absent)},
	{name: "headers that Connection names are dropped", request: with("Connection: X-Hop, keep-alive", "X-Hop: 1", "X-Stays: 1"), want: also(receives("x-hop", absent), receives("x-stays", "1"))},
	{name: "headers that several Connection lines name are dropped", request: with("Connection: x-one", "Connection: ,, X-TWO ,", "X-One: 1", "X-Two: 1"), want: also(receives("x-one", absent), receives("x-two", absent))},
	{name: "Connection: close is between the client and the proxy", request: with("Connection: close"), want: receives("connection", absent)},
	{name: "an upgrade is answered as an ordinary request", request: with("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"), want: also(receives("upgrade", absent), receives("sec-websocket-version", "13"))},
	{name: "an HTTP/1.0 request is forwarded", request: []step{send(strings.Replace(head("GET", "/__clerk/v1/client"), "HTTP/1.1", "HTTP/1.0", 1))}, want: forwardedTo("/v1/client")},
}
