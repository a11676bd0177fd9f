package conformance

// raw is a request of which nothing is added or left out. Each says that it
// closes the connection, so that an answer too many is seen.
func raw(s string) []step { return []step{send(s)} }

const (
	line    = "POST /__clerk/v1/client HTTP/1.1\r\n"
	host    = "Host: app.example.com\r\n"
	closing = "Connection: close\r\n"
	open    = host + "X-Forwarded-For: 203.0.113.7\r\nUser-Agent: x\r\nAccept: */*\r\nAccept-Language: en\r\nAccept-Encoding: identity\r\nSec-Fetch-Mode: cors\r\n"
	rest    = open + closing
	// smuggled is what must not become a request of its own.
	smuggled = "GET /__clerk/smuggled HTTP/1.1\r\nHost: evil.com\r\n" + closing + "\r\n"
)

// refused is what is wanted of a request that no two servers might read alike.
func refused(status string) fields {
	return fields{"upstream.requests": "0", "client.status": status, "client.more": absent}
}

var malformedCases = []testCase{
	{name: "a length together with chunks counts for nothing", request: raw(line + rest + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("hello, world")), want: fields{"upstream.requests": "1", "upstream.length": "chunked", "upstream.body": "hello, world", "client.more": absent}},
	{name: "a length together with chunks ends the connection", request: raw(line + open + "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled), want: fields{"upstream.requests": "1", "client.more": absent}},
	{name: "two lengths that differ are refused", request: raw(line + rest + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + smuggled), want: refused("400")},
	{name: "two lengths that agree are one", request: raw(line + rest + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), want: fields{"upstream.requests": "1", "upstream.length": "5", "upstream.body": "hello", "client.status": "200"}},
	{name: "a list of lengths is refused", request: raw(line + rest + "Content-Length: 5, 5\r\n\r\nhello"), want: refused("400")},
	{name: "a negative length is refused", request: raw(line + rest + "Content-Length: -1\r\n\r\n" + smuggled), want: refused("400")},
	{name: "a length with a sign is refused", request: raw(line + rest + "Content-Length: +5\r\n\r\nhello"), want: refused("400")},
	{name: "a length that is no number is refused", request: raw(line + rest + "Content-Length: 0x5\r\n\r\nhello"), want: refused("400")},
	{name: "chunked within another coding is refused", request: raw(line + rest + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled), want: refused("501")},
	{name: "a coding that nobody knows is refused", request: raw(line + rest + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled), want: refused("501")},
	{name: "chunked twice is refused", request: raw(line + rest + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled), want: refused("501")},
	{name: "a vertical tab before chunked is refused", request: raw(line + rest + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + smuggled), want: refused("400")},
	{name: "white space before a colon is refused", request: raw(line + rest + "Content-Length : 5\r\n\r\nhello"), want: refused("400")},
	{name: "a folded header is unfolded", request: raw(line + rest + "X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n"), want: receives("x-folded", "a b")},
	{name: "a header line without a colon is refused", request: raw(line + rest + "Nonsense\r\n\r\n"), want: refused("400")},
	{name: "a header without a name is refused", request: raw(line + rest + ": x\r\n\r\n"), want: refused("400")},
	{name: "a zero byte in a header is refused", request: raw(line + rest + "X-Zero: a\x00b\r\n\r\n"), want: refused("400")},
	{name: "a bare carriage return in a header is refused", request: raw(line + rest + "X-Cr: a\rX-Evil: b\r\n\r\n"), want: refused("400")},
	{name: "bare line feeds end lines", request: raw("GET /__clerk/v1/client HTTP/1.1\nHost: app.example.com\nX-Forwarded-For: 203.0.113.7\nUser-Agent: x\nAccept: */*\nAccept-Language: en\nAccept-Encoding: identity\nSec-Fetch-Mode: cors\nConnection: close\r\n\n"), want: forwardedTo("/v1/client")},
	{name: "a chunk size that is no number is refused", mount: "torn", torn: true, request: raw(line + rest + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"), want: fields{"upstream.requests": "none that is whole", "client.status": "400"}},
	{name: "a chunk that is longer than it says is refused", mount: "torn", torn: true, request: raw(line + rest + "Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n"), want: fields{"upstream.requests": "none that is whole", "client.status": "400"}},
	{name: "a chunk size that overflows is refused", mount: "torn", torn: true, request: raw(line + rest + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n"), want: fields{"upstream.requests": "none that is whole", "client.status": "400"}},
	{name: "a second request waits for the first", request: raw("GET /__clerk-admin HTTP/1.1\r\n" + host + "\r\n" + "GET /app HTTP/1.1\r\n" + host + closing + "\r\n"), want: fields{"upstream.requests": "0", "client.status": "200", "client.more": "HTTP/1.1 200 OK"}},
	{name: "a request without Host is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a request with two Hosts is refused", request: raw(line + rest + "Host: evil.com\r\n\r\n"), want: refused("400")},
	{name: "an empty Host is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost:\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a Host with a path is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost: evil.com/__clerk\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a Host with credentials is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost: app.example.com@evil.com\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a Host with a query is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost: evil.com?\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a Host with a space is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost: evil.com x\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a Host with a port that is none is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost: app.example.com:99999\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a list of Hosts is refused", request: raw("GET /__clerk/v1/client HTTP/1.1\r\nHost: app.example.com, evil.com\r\n" + closing + "\r\n"), want: refused("400")},
	{name: "a space in the target is refused", request: raw("GET /__clerk/v1/a b HTTP/1.1\r\n" + rest + "\r\n"), want: refused("400")},
	{name: "a control character in the target is refused", request: raw("GET /__clerk/v1/a\x01b HTTP/1.1\r\n" + rest + "\r\n"), want: refused("400")},
	{name: "a request line without a version is refused", request: raw("GET /__clerk/v1/client\r\n" + rest + "\r\n"), want: refused("400")},
	{name: "a version that nobody knows is refused", request: raw("GET /__clerk/v1/client HTTP/7.3\r\n" + rest + "\r\n"), want: refused("505")},
	{name: "a method that is no token is refused", request: raw("GE(T /__clerk/v1/client HTTP/1.1\r\n" + rest + "\r\n"), want: refused("400")},
}
