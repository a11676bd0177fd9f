package conformance

import "time"

// patience is how long an end waits for a yardstick that never comes. What is
// waited for never happens, so a slow machine changes nothing.
const patience = 500 * time.Millisecond

var failed = refuses("502", "proxy_request_failed")

var failureCases = []testCase{
	{name: "an upstream that refuses the connection is a bad gateway", mount: "refused", want: also(failed, fields{"upstream.requests": "0"})},
	{name: "an upstream that refuses the connection is a bad gateway to a body", mount: "refused", request: post(form), want: failed},
	{name: "an upstream that closes before it answers is a bad gateway", request: post(form), answer: []step{hangUp}, want: failed},
	{name: "an upstream that resets before it answers is a bad gateway", request: post(form), answer: []step{reset}, want: failed},
	{name: "an upstream that closes within the head is a bad gateway", request: post(form), answer: []step{send("HTTP/1.1 200 OK\r\nContent-Ty"), hangUp}, want: failed},
	{name: "garbage is a bad gateway", request: post(form), answer: []step{send("220 smtp.example.com ESMTP\r\n\r\n"), hangUp}, want: failed},
	{name: "a status that is no number is a bad gateway", request: post(form), answer: append(bare("abc Odd", "", "Content-Length: 0"), hangUp), want: failed},
	{name: "a header line without a colon is a bad gateway", request: post(form), answer: append(bare("200 OK", "", "Nonsense", "Content-Length: 0"), hangUp), want: failed},
	{name: "two lengths in an answer are a bad gateway", request: post(form), answer: append(bare("200 OK", "hello", "Content-Length: 5", "Content-Length: 3"), hangUp), want: failed},
	{name: "an unasked switch of protocols is a bad gateway", answer: append(bare("101 Switching Protocols", "\x00\x01", "Connection: Upgrade", "Upgrade: h2c"), untilGivenUp), want: failed},
	{name: "an asked-for switch of protocols is a bad gateway", request: with("Connection: Upgrade", "Upgrade: websocket"), answer: append(bare("101 Switching Protocols", "\x00\x01", "Connection: Upgrade", "Upgrade: websocket"), untilGivenUp), want: failed},
	{name: "an upstream that stalls before its head is a timeout", mount: "impatient", patience: patience, answer: []step{untilGivenUp}, want: also(refuses("504", "proxy_request_failed"), fields{"upstream.end": "aborted"})},
	{name: "an upstream that stalls within its head is a timeout", mount: "impatient", patience: patience, answer: []step{send("HTTP/1.1 200 OK\r\nContent-Type: "), untilGivenUp}, want: also(refuses("504", "proxy_request_failed"), fields{"upstream.end": "aborted"})},
	{name: "an upstream that stalls within its body is cut", mount: "impatient in the body", patience: patience, answer: []step{send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), untilGivenUp}, want: fields{"client.status": "200", "client.end": "cut", "upstream.end": "aborted"}},
	{name: "an upstream that stalls within a chunked body is cut", mount: "impatient in the body", patience: patience, answer: []step{send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), untilGivenUp}, want: fields{"client.status": "200", "client.end": "cut", "upstream.end": "aborted"}},
	{name: "a body that is cut short is not taken for a whole one", mount: "slow", patience: patience, answer: append(bare("200 OK", "hello", "Content-Length: 10"), await(clientBody), hangUp), want: fields{"client.status": "200", "client.end": "cut"}},
	{name: "a chunked body that is cut short is not taken for a whole one", mount: "slow", patience: patience, answer: append(bare("200 OK", "5\r\nhello\r\n", "Transfer-Encoding: chunked"), await(clientBody), hangUp), want: fields{"client.status": "200", "client.end": "cut"}},
	{name: "a chunked body that is reset is not taken for a whole one", mount: "slow", patience: patience, answer: append(bare("200 OK", "5\r\nhello\r\n", "Transfer-Encoding: chunked"), await(clientBody), reset), want: fields{"client.status": "200", "client.end": "cut"}},
	{name: "a malformed chunk is not taken for the end", mount: "slow", patience: patience, answer: append(bare("200 OK", "5\r\nhello\r\nxyz\r\n", "Transfer-Encoding: chunked"), untilGivenUp), want: fields{"client.status": "200", "client.end": "cut"}},
	{name: "a client that leaves before the answer ends the request upstream", mount: "slow", patience: patience, request: append(with(), await(upstreamHead), hangUp), answer: []step{untilGivenUp}, want: fields{"client.end": "gone", "upstream.end": "aborted"}},
	{name: "a client that leaves within the answer ends the request upstream", mount: "slow", patience: patience, request: append(with(), await(clientBody), hangUp), answer: []step{send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), untilGivenUp}, want: fields{"client.end": "gone", "upstream.end": "aborted"}},
	{name: "a client that leaves within its body of known length ends the request upstream", request: []step{send(head("POST", "/__clerk/v1/client/sign_ins", "Content-Length: 10") + "hello"), await(upstreamBody), hangUp}, want: fields{"client.end": "gone", "upstream.end": "cut"}},
	{name: "a client that leaves within its chunked body ends the request upstream", request: []step{send(head("POST", "/__clerk/v1/client/sign_ins", "Transfer-Encoding: chunked") + "5\r\nhello\r\n"), await(upstreamBody), hangUp}, want: fields{"client.end": "gone", "upstream.end": "cut"}},
}
