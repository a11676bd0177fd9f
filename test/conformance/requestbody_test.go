package conformance

import (
	"fmt"
	"strings"
)

const form = "identifier=ada%40example.com&strategy=password"

var (
	binary  = everyByte()
	million = strings.Repeat(binary, 4096)
)

func everyByte() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// uploads is what is wanted when a body arrives at the upstream.
func uploads(method, body, length string) fields {
	f := fields{"upstream.requests": "1", "upstream.line": method + " /v1/client/sign_ins", "upstream.length": length, "client.status": "200", "upstream.end": absent}
	if body != "" {
		f["upstream.body"] = abbreviate(body)
	}
	return f
}

var requestBodyCases = []testCase{
	{name: "POST with a length", request: post(form, "Content-Type: application/x-www-form-urlencoded"), want: also(uploads("POST", form, "46"), fields{"upstream.header.content-type": "application/x-www-form-urlencoded"})},
	{name: "POST in chunks", request: chunked("POST", "identifier=", "ada"), want: uploads("POST", "identifier=ada", "chunked")},
	{name: "POST with a length of zero", request: post(""), want: uploads("POST", "", "0")},
	{name: "POST without a body", request: []step{send(head("POST", "/__clerk/v1/client/sign_ins"))}, want: uploads("POST", "", "0")},
	{name: "POST in no chunks", request: chunked("POST"), want: uploads("POST", "", "chunked")},
	{name: "PUT with a length", request: bodied("PUT", form), want: uploads("PUT", form, "46")},
	{name: "PATCH with a length", request: bodied("PATCH", form), want: uploads("PATCH", form, "46")},
	{name: "PATCH in chunks", request: chunked("PATCH", form), want: uploads("PATCH", form, "chunked")},
	{name: "DELETE without a body", request: []step{send(head("DELETE", "/__clerk/v1/client/sign_ins"))}, want: fields{"upstream.line": "DELETE /v1/client/sign_ins", "upstream.body": absent, "client.status": "200"}},
	{name: "DELETE with a length", request: bodied("DELETE", form), want: uploads("DELETE", form, "46")},
	{name: "DELETE in chunks", request: chunked("DELETE", form), want: uploads("DELETE", form, "chunked")},
	{name: "OPTIONS without a body", request: []step{send(head("OPTIONS", "/__clerk/v1/client/sign_ins", "Origin: https://www.example.com", "Access-Control-Request-Method: PATCH"))}, want: fields{"upstream.line": "OPTIONS /v1/client/sign_ins", "upstream.header.access-control-request-method": "PATCH", "client.status": "200"}},
	{name: "OPTIONS with a length", request: bodied("OPTIONS", form), want: uploads("OPTIONS", form, "46")},
	{name: "GET with a length", request: bodied("GET", form), want: uploads("GET", form, "46")},
	{name: "GET in chunks", request: chunked("GET", form), want: uploads("GET", form, "chunked")},
	{name: "GET with a length of zero", request: bodied("GET", ""), want: fields{"upstream.line": "GET /v1/client/sign_ins", "upstream.body": absent, "client.status": "200"}},
	{name: "HEAD", request: []step{send(head("HEAD", "/__clerk/v1/client"))}, answer: bare("200 OK", "", "Content-Type: application/json"), want: fields{"upstream.line": "HEAD /v1/client", "client.status": "200", "client.header.content-type": "application/json", "client.body": absent}},
	{name: "a method of WebDAV with a body", request: bodied("PROPFIND", form), want: uploads("PROPFIND", form, "46")},
	{name: "a method in small letters is not the one in capitals", request: bodied("post", form), want: uploads("post", form, "46")},
	{name: "TRACE is refused, as its answer would hold the secret key", request: []step{send(head("TRACE", "/__clerk/v1/client"))}, want: also(refuses("405", "proxy_request_failed"), fields{"upstream.requests": "0", "client.header.allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"})},
	{name: "CONNECT is not forwarded", request: []step{send(head("CONNECT", "evil.com:443", "Connection: close"))}, want: fields{"upstream.requests": "0"}},
	{name: "every byte of a body stays", request: post(binary, "Content-Type: application/octet-stream"), want: uploads("POST", binary, "256")},
	{name: "a mebibyte with a length", request: post(million), want: uploads("POST", million, "1048576")},
	{name: "a mebibyte in chunks", request: chunked("POST", million[:1000], million[1000:500000], million[500000:]), want: uploads("POST", million, "chunked")},
	{name: "a compressed body stays compressed", request: post("\x1f\x8bnot really", "Content-Encoding: gzip"), want: also(uploads("POST", "\x1f\x8bnot really", "12"), fields{"upstream.header.content-encoding": "gzip"})},
	{name: "chunk extensions end at the proxy", request: []step{send(head("POST", "/__clerk/v1/client/sign_ins", "Transfer-Encoding: chunked") + "3;x=\"y\"\r\nabc\r\n0;z\r\n\r\n")}, want: uploads("POST", "abc", "chunked")},
	{
		name: "a body that waits for 100 Continue is asked for and forwarded",
		request: []step{
			send(head("POST", "/__clerk/v1/client/sign_ins", "Expect: 100-continue", fmt.Sprintf("Content-Length: %d", len(form)))),
			await(clientInterim), send(form),
		},
		want: also(uploads("POST", form, "46"), fields{"client.interim": "100"}),
	},
	{
		name: "the first byte of a body is forwarded before the last is sent",
		request: []step{
			send(head("POST", "/__clerk/v1/client/sign_ins", "Transfer-Encoding: chunked") + "5\r\nfirst\r\n"),
			await(upstreamBody), send("4\r\nlast\r\n0\r\n\r\n"),
		},
		want: uploads("POST", "firstlast", "chunked"),
	},
	{
		name: "an answer that does not wait for the body arrives", early: true,
		request: []step{
			send(head("POST", "/__clerk/v1/client/sign_ins", "Content-Length: 10") + "first"),
			await(clientBody), send("-last"),
		},
		answer: bare("413 Content Too Large", "{}", "Content-Type: application/json", "Content-Length: 2", "Connection: close"),
		want:   fields{"client.status": "413", "client.body": "{}", "client.end": "whole"},
	},
	{
		name:    "an expectation that nobody knows is refused",
		request: []step{send(head("POST", "/__clerk/v1/client/sign_ins", "Expect: the-unexpected", "Content-Length: 46") + form)},
		want:    fields{"upstream.requests": "0", "client.status": "417"},
	},
}
