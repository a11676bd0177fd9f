package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// browser are the headers that requests carry unless a case says otherwise.
// The values of Accept-Encoding and Sec-Fetch-Mode are those that the
// yardsticks would put there anyway, and X-Forwarded-For spares every case the
// difference about it: what these headers do has cases of its own.
var browser = []string{
	"User-Agent: Mozilla/5.0 (conformance)",
	"Accept: */*",
	"Accept-Language: en",
	"Accept-Encoding: identity",
	"Sec-Fetch-Mode: cors",
	"X-Forwarded-For: 203.0.113.7",
}

// head is a request's head. A header line replaces the browser's own of that
// name; "-Name" only removes it.
func head(method, target string, lines ...string) string {
	name := func(line string) string {
		n, _, _ := strings.Cut(strings.TrimPrefix(line, "-"), ":")
		return strings.ToLower(n)
	}
	has := func(n string) bool {
		return slices.ContainsFunc(lines, func(line string) bool { return name(line) == n })
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	if !has("host") {
		b.WriteString("Host: " + publicHost + "\r\n")
	}
	for _, line := range browser {
		if !has(name(line)) {
			b.WriteString(line + "\r\n")
		}
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "-") {
			b.WriteString(line + "\r\n")
		}
	}
	return b.String() + "\r\n"
}

func get(target string, lines ...string) []step {
	return []step{send(head("GET", target, lines...))}
}

// with is a GET of the usual path with these header lines.
func with(lines ...string) []step { return get("/__clerk/v1/client", lines...) }

func post(body string, lines ...string) []step {
	return bodied("POST", body, lines...)
}

// bodied is a request with a body of known length.
func bodied(method, body string, lines ...string) []step {
	lines = append([]string{fmt.Sprintf("Content-Length: %d", len(body))}, lines...)
	return []step{send(head(method, "/__clerk/v1/client/sign_ins", lines...) + body)}
}

// chunked is a request with a body in chunks.
func chunked(method string, parts ...string) []step {
	return []step{send(head(method, "/__clerk/v1/client/sign_ins", "Transfer-Encoding: chunked") + chunks(parts...))}
}

func chunks(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		if part == "" {
			continue // it would be the last
		}
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
	}
	return b.String() + "0\r\n\r\n"
}

// plain is the upstream's answer where a case does not care.
var plain = answer("200 OK", `{"object":"client"}`, "Content-Type: application/json")

// answer is one in chunks: a length would be a difference, which has cases of
// its own.
func answer(status, body string, lines ...string) []step {
	return []step{send("HTTP/1.1 " + status + "\r\n" + join(lines) + "Transfer-Encoding: chunked\r\n\r\n" + chunks(body))}
}

// bare is an answer that is a head and nothing more than the case says.
func bare(status, rest string, lines ...string) []step {
	return []step{send("HTTP/1.1 " + status + "\r\n" + join(lines) + "\r\n" + rest)}
}

func join(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

// forwardedTo is what is wanted when all that matters is that a request was
// forwarded to a target.
func forwardedTo(target string) fields {
	return fields{"upstream.requests": "1", "upstream.line": "GET " + target, "client.status": "200"}
}

// toApp is what is wanted when a request is passed on to the application.
var toApp = fields{"upstream.requests": "0", "client.status": "200", "client.body": "app"}

// receives is what is wanted when the upstream receives a header.
func receives(name, value string) fields {
	return fields{"upstream.requests": "1", "upstream.header." + name: value, "client.status": "200"}
}

// answers is what is wanted when the client receives a header.
func answers(status, name, value string) fields {
	return fields{"client.status": status, "client.header." + name: value, "client.end": "whole"}
}

// also merges wants.
func also(all ...fields) fields {
	merged := fields{}
	for _, f := range all {
		for name, value := range f {
			merged[name] = value
		}
	}
	return merged
}

// refuses is what is wanted when the proxy answers itself.
func refuses(status, code string) fields {
	return fields{
		"client.status":               status,
		"client.header.content-type":  "application/json",
		"client.header.cache-control": "no-store",
		"client.body":                 `{"errors":[{"code":"` + code + `","message":"…"}]}`,
		"client.end":                  "whole",
	}
}
