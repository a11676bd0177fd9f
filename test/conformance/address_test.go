package conformance

import "strings"

// All connections come from 127.0.0.1, which is a trusted proxy unless the
// mount says otherwise.

func address(name, want string, lines ...string) testCase {
	return testCase{name: name, request: with(lines...), want: receives("x-forwarded-for", want)}
}

func (c testCase) on(mount string) testCase {
	c.mount = mount
	return c
}

var addressCases = []testCase{
	address("without X-Forwarded-For it is the address of the connection", "127.0.0.1", "-X-Forwarded-For"),
	address("one address is the client's", "203.0.113.7", "X-Forwarded-For: 203.0.113.7"),
	address("trusted proxies on the right are passed over", "203.0.113.7", "X-Forwarded-For: 203.0.113.7, 10.0.0.2, 192.168.1.1"),
	address("what the client invented on the left is disregarded", "203.0.113.7", "X-Forwarded-For: 198.51.100.1, 203.0.113.7"),
	address("what the client invented on the left is disregarded behind several proxies", "203.0.113.7", "X-Forwarded-For: 127.0.0.1, 198.51.100.1, 203.0.113.7, 10.0.0.2"),
	address("several lines are one list", "203.0.113.7", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 10.0.0.2", "x-forwarded-for: 10.0.0.3"),
	address("the client's own line comes first and is disregarded", "203.0.113.7", "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.7"),
	address("white space around addresses is nothing", "203.0.113.7", "X-Forwarded-For:  \t203.0.113.7 \t,\t10.0.0.2  "),
	address("an IPv6 address is an address", "2001:db8::7", "X-Forwarded-For: 2001:db8::7"),
	address("an IPv6 address is written in its canonical form", "2001:db8::7", "X-Forwarded-For: 2001:0DB8:0:0:0:0:0:0007"),
	address("an IPv6 address in brackets with a port is an address", "2001:db8::7", "X-Forwarded-For: [2001:db8::7]:4711"),
	address("an IPv6 address in brackets is an address", "2001:db8::7", "X-Forwarded-For: [2001:db8::7]"),
	address("an IPv4 address with a port is an address", "203.0.113.7", "X-Forwarded-For: 203.0.113.7:4711"),
	address("an IPv4-mapped address is the IPv4 address", "203.0.113.7", "X-Forwarded-For: ::ffff:203.0.113.7"),
	address("a zone means nothing elsewhere", "fe80::1", "X-Forwarded-For: fe80::1%eth0"),
	address("an inner client behind trusted proxies has its own address", "10.0.0.5", "X-Forwarded-For: 10.0.0.5, 10.0.0.2"),
	address("what is no address is not forwarded", "127.0.0.1", "X-Forwarded-For: unknown"),
	address("what is no address ends the walk", "10.0.0.2", "X-Forwarded-For: 203.0.113.7, unknown, 10.0.0.2"),
	address("what is no address on the left is not reached", "203.0.113.7", "X-Forwarded-For: <script>, 203.0.113.7"),
	address("an empty list is no list", "127.0.0.1", "X-Forwarded-For:"),
	address("commas are no address", "127.0.0.1", "X-Forwarded-For: ,,"),
	address("the unspecified address is no address", "127.0.0.1", "X-Forwarded-For: 0.0.0.0"),
	address("an address with leading zeros is no address", "127.0.0.1", "X-Forwarded-For: 203.0.113.007"),
	address("a long list is walked from the right", "203.0.113.7", "X-Forwarded-For: "+strings.Repeat("198.51.100.1, ", 300)+"203.0.113.7, 10.0.0.2"),
	address("CF-Connecting-IP is not believed unless configured", "203.0.113.7", "CF-Connecting-IP: 198.51.100.1"),
	address("X-Real-IP is not believed unless configured", "203.0.113.7", "X-Real-IP: 198.51.100.1"),
	address("True-Client-IP is not believed unless configured", "203.0.113.7", "True-Client-IP: 198.51.100.1"),
	address("Forwarded is not read", "203.0.113.7", "Forwarded: for=198.51.100.1;host=evil.com;proto=https"),
	address("a configured CF-Connecting-IP is the client's", "198.51.100.1", "CF-Connecting-IP: 198.51.100.1").on("Cloudflare in front"),
	address("a configured CF-Connecting-IP goes before X-Forwarded-For", "2001:db8::1", "CF-Connecting-IP: 2001:DB8::1", "X-Forwarded-For: 192.0.2.1, 203.0.113.7").on("Cloudflare in front"),
	address("a configured header that is missing leaves X-Forwarded-For", "203.0.113.7").on("Cloudflare in front"),
	address("a configured header that is no address leaves X-Forwarded-For", "203.0.113.7", "CF-Connecting-IP: me").on("Cloudflare in front"),
	address("a configured header sent twice leaves X-Forwarded-For", "203.0.113.7", "CF-Connecting-IP: 198.51.100.1", "CF-Connecting-IP: 198.51.100.2").on("Cloudflare in front"),
	address("X-Real-IP is not believed where CF-Connecting-IP is configured", "198.51.100.1", "CF-Connecting-IP: 198.51.100.1", "X-Real-IP: 192.0.2.9").on("Cloudflare in front"),
	address("a configured X-Real-IP is the client's", "198.51.100.1", "X-Real-IP: 198.51.100.1").on("nginx in front"),
	address("CF-Connecting-IP is not believed where X-Real-IP is configured", "198.51.100.1", "X-Real-IP: 198.51.100.1", "CF-Connecting-IP: 192.0.2.9").on("nginx in front"),
	address("CloudFront's port is stripped from an IPv4 address", "198.51.100.1", "CloudFront-Viewer-Address: 198.51.100.1:46532").on("CloudFront in front"),
	address("CloudFront's port is stripped from an IPv6 address", "2001:db8::1", "CloudFront-Viewer-Address: 2001:db8:0:0:0:0:0:1:46532").on("CloudFront in front"),
	address("a stranger's X-Forwarded-For is replaced", "127.0.0.1", "X-Forwarded-For: 198.51.100.1").on("nobody trusted"),
	{
		name: "a stranger's CF-Connecting-IP is dropped", mount: "nobody trusted", request: with("CF-Connecting-IP: 198.51.100.1"),
		want: also(receives("x-forwarded-for", "127.0.0.1"), receives("cf-connecting-ip", absent)),
	},
	{
		name: "a stranger's other claims are dropped", mount: "nobody trusted",
		request: with("X-Real-IP: 198.51.100.1", "True-Client-IP: 198.51.100.1", "Forwarded: for=198.51.100.1", "X-Forwarded-Port: 443"),
		want: also(receives("x-forwarded-for", "127.0.0.1"), receives("x-real-ip", absent), receives("true-client-ip", absent),
			receives("forwarded", absent), receives("x-forwarded-port", absent)),
	},
}
