package conformance

import "strings"

// gzipped is "hello" as gzip writes it.
const gzipped = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xcaH\xcd\xc9\xc9\x07\x04\x00\x00\xff\xff\x86\xa6\x106\x05\x00\x00\x00"

// status is a case of an answer whose status must arrive.
func status(line string) testCase {
	code, _, _ := strings.Cut(line, " ")
	return testCase{
		name:   "the status " + code + " arrives",
		answer: answer(line, `{"errors":[]}`, "Content-Type: application/json"),
		want:   fields{"client.status": code, "client.header.content-type": "application/json", "client.body": `{"errors":[]}`},
	}
}

// replies is a case of an answer of which a header must arrive.
func replies(name, header, want string, lines ...string) testCase {
	return testCase{name: name, answer: answer("200 OK", "{}", append(lines, "Content-Type: application/json")...), want: also(answers("200", header, want), fields{"client.body": "{}"})}
}

var responseCases = []testCase{
	status("201 Created"), status("202 Accepted"), status("206 Partial Content"), status("226 IM Used"), status("299 Odd"),
	status("300 Multiple Choices"), status("400 Bad Request"), status("401 Unauthorized"), status("403 Forbidden"),
	status("404 Not Found"), status("405 Method Not Allowed"), status("409 Conflict"), status("410 Gone"),
	status("418 I'm a teapot"), status("422 Unprocessable Content"), status("429 Too Many Requests"),
	status("500 Internal Server Error"), status("502 Bad Gateway"), status("503 Service Unavailable"), status("599 Odd"),
	status("600 Odder"),
	{name: "an answer without content has none", answer: bare("204 No Content", "", "X-Kept: 1"), want: also(answers("204", "x-kept", "1"), fields{"client.body": absent, "client.header.content-length": absent})},
	{name: "an answer that resets content has none", answer: bare("205 Reset Content", "", "Content-Length: 0"), want: fields{"client.status": "205", "client.body": absent, "client.end": "whole"}},
	{name: "an answer that is not modified keeps its headers", request: with(`If-None-Match: "1"`), answer: bare("304 Not Modified", "", `ETag: "1"`, "Cache-Control: max-age=60", "Vary: Origin"), want: also(answers("304", "etag", `"1"`), fields{"client.header.vary": "Origin", "client.body": absent})},
	{name: "early hints are passed on", answer: append(bare("103 Early Hints", "", "Link: </a.js>; rel=preload"), plain...), want: fields{"client.interim": "103 link: </a.js>; rel=preload", "client.status": "200", "client.header.link": absent}},
	{name: "early hints twice are passed on twice", answer: append(append(bare("103 Early Hints", "", "Link: </a.js>"), bare("103 Early Hints", "", "Link: </b.js>")...), plain...), want: fields{"client.interim": "103 link: </a.js>\n103 link: </b.js>", "client.status": "200"}},
	{name: "102 Processing is passed on", answer: append(bare("102 Processing", ""), plain...), want: fields{"client.interim": "102", "client.status": "200"}},
	{name: "100 Continue that nobody waits for is not in the way", answer: append(bare("100 Continue", ""), plain...), want: fields{"client.status": "200", "client.body": `{"object":"client"}`}},
	{name: "every Set-Cookie is a line of its own", answer: answer("200 OK", "{}", "Set-Cookie: __client=a; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly", "X-Between: 1", "Set-Cookie: __client_uat=1", "set-cookie: z="), want: answers("200", "set-cookie", "__client=a; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly\n__client_uat=1\nz=")},
	replies("one Set-Cookie arrives", "set-cookie", "__client=a; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly; Secure; SameSite=None", "Set-Cookie: __client=a; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly; Secure; SameSite=None"),
	replies("a repeated header of the answer keeps its lines", "link", "</a>; rel=next\n</b>; rel=prev", "Link: </a>; rel=next", "X-Between: 1", "Link: </b>; rel=prev"),
	replies("Vary on several lines arrives", "vary", "Origin\nAccept-Encoding", "Vary: Origin", "Vary: Accept-Encoding"),
	replies("challenges on several lines arrive", "www-authenticate", "Basic realm=\"a, b\"\nBearer", "WWW-Authenticate: Basic realm=\"a, b\"", "WWW-Authenticate: Bearer"),
	replies("an empty header of the answer stays", "x-empty", "", "X-Empty:"),
	replies("UTF-8 in a header of the answer stays", "x-name", "caf\xc3\xa9", "X-Name: caf\xc3\xa9"),
	replies("a long header of the answer stays", "x-long", long, "X-Long: "+long),
	replies("an entity tag arrives", "etag", `W/"a-1"`, `ETag: W/"a-1"`, "Last-Modified: Wed, 21 Oct 2026 07:28:00 GMT"),
	replies("cache rules arrive", "cache-control", "public, max-age=31536000, immutable", "Cache-Control: public, max-age=31536000, immutable", "Age: 7", "Expires: 0"),
	replies("cross-origin rules arrive", "access-control-allow-origin", "https://app.example.com", "Access-Control-Allow-Origin: https://app.example.com", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: Authorization, X-Clerk"),
	replies("security rules arrive", "strict-transport-security", "max-age=1", "Strict-Transport-Security: max-age=1", "Content-Security-Policy: default-src 'none'", "X-Content-Type-Options: nosniff"),
	replies("the server's name arrives", "server", "clerk", "Server: clerk", "X-Clerk-Trace-Id: t", "CF-Ray: r"),
	replies("a token in the answer's Authorization arrives", "authorization", "a.b.c", "Authorization: a.b.c"),
	replies("Retry-After arrives", "retry-after", "3", "Retry-After: 3"),
	replies("hop-by-hop headers of the answer are dropped", "x-stays", "1", "X-Stays: 1", "Keep-Alive: timeout=99, max=7", "Proxy-Authenticate: Basic", "Upgrade: h2c"),
	replies("headers that the answer's Connection names are dropped", "x-hop", absent, "Connection: X-Hop", "X-Hop: 1"),
	replies("Proxy-Connection of the answer is dropped", "proxy-connection", absent, "Proxy-Connection: keep-alive"),
	replies("an answer that echoes the secret key does not give it away", "clerk-secret-key", absent, "Clerk-Secret-Key: "+liveSecret),
	{name: "a content type is not invented", answer: answer("200 OK", "<html>"), want: answers("200", "content-type", absent)},
	{name: "a content type is not amended", answer: answer("200 OK", "{}", "Content-Type: text/html"), want: answers("200", "content-type", "text/html")},
	{name: "an empty answer arrives", answer: answer("200 OK", ""), want: fields{"client.status": "200", "client.body": absent, "client.end": "whole"}},
	{name: "a content length arrives", answer: bare("200 OK", "hello", "Content-Length: 5"), want: also(answers("200", "content-length", "5"), fields{"client.body": "hello"})},
	{name: "a content length of zero arrives", answer: bare("200 OK", "", "Content-Length: 0"), want: also(answers("200", "content-length", "0"), fields{"client.body": absent})},
	{name: "the length in the answer to HEAD arrives", request: []step{send(head("HEAD", "/__clerk/v1/client"))}, answer: bare("200 OK", "", "Content-Length: 12345"), want: answers("200", "content-length", "12345")},
	{name: "an answer that ends with the connection arrives", answer: append(bare("200 OK", "hello", "Connection: close"), hangUp), want: fields{"client.status": "200", "client.body": "hello", "client.end": "whole"}},
	{name: "an HTTP/1.0 answer arrives", answer: []step{send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"), hangUp}, want: fields{"client.status": "200", "client.body": "hello", "client.end": "whole"}},
	{name: "a compressed answer arrives byte for byte", request: with("Accept-Encoding: gzip"), answer: answer("200 OK", gzipped, "Content-Type: text/javascript", "Content-Encoding: gzip", "Vary: Accept-Encoding"), want: also(answers("200", "content-encoding", "gzip"), fields{"client.body": gzipped})},
	{name: "a compressed answer that was not asked for arrives byte for byte", answer: answer("200 OK", gzipped, "Content-Encoding: gzip"), want: also(answers("200", "content-encoding", "gzip"), fields{"client.body": gzipped})},
	{name: "an encoding that nobody knows arrives byte for byte", answer: answer("200 OK", "?!", "Content-Encoding: x-odd"), want: also(answers("200", "content-encoding", "x-odd"), fields{"client.body": "?!"})},
	{name: "every byte of an answer stays", answer: answer("200 OK", binary, "Content-Type: application/octet-stream"), want: fields{"client.status": "200", "client.body": abbreviate(binary)}},
	{name: "a mebibyte arrives", answer: answer("200 OK", million), want: fields{"client.status": "200", "client.body": abbreviate(million), "client.end": "whole"}},
	{
		name:   "the first byte of an answer arrives before the last is sent",
		answer: []step{send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"), await(clientBody), send("4\r\nlast\r\n0\r\n\r\n")},
		want:   fields{"client.status": "200", "client.body": "firstlast", "client.end": "whole"},
	},
	{
		name:   "the first byte of an answer of known length arrives before the last is sent",
		answer: []step{send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst"), await(clientBody), send("last")},
		want:   fields{"client.status": "200", "client.header.content-length": "9", "client.body": "firstlast", "client.end": "whole"},
	},
	{
		name:   "an event arrives before the next",
		answer: []step{send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"), await(clientBody), send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")},
		want:   fields{"client.header.content-type": "text/event-stream", "client.body": "data: 1\n\ndata: 2\n\n"},
	},
	{
		name: "the head of an answer arrives before its body", mount: "slow",
		answer: []step{send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), waits, await(clientHead), send(chunks("late"))},
		want:   fields{"client.status": "200", "client.body": "late", "client.end": "whole"}, patience: patience,
	},
	{
		name:   "announced trailers arrive",
		answer: bare("200 OK", "2\r\n{}\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-More"),
		want:   fields{"client.body": "{}", "client.trailer.x-sum": "1", "client.trailer.x-more": "2"},
	},
	{
		name:   "trailers that nobody announced arrive",
		answer: bare("200 OK", "2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", "Transfer-Encoding: chunked"),
		want:   fields{"client.body": "{}", "client.trailer.x-sum": "1"},
	},
	{
		name:   "a secret key in a trailer does not get away",
		answer: bare("200 OK", "2\r\n{}\r\n0\r\nClerk-Secret-Key: "+liveSecret+"\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: Clerk-Secret-Key"),
		want:   fields{"client.body": "{}", "client.trailer.clerk-secret-key": absent},
	},
}
