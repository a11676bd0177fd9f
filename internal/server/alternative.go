package server

import (
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

// A browser learns from an answer that the host can be asked over HTTP/3 too, RFC
// 7838.

const (
	headerAltSvc = "Alt-Svc"
	// altSvcAge, in seconds, is how long browsers may remember it: a day. For as
	// long they may try it when there is none any more, and fall back.
	altSvcAge = "86400"
)

// alternativeFor is the value of Alt-Svc, or empty, for a request that came over TLS
// to a host, with headers, where there is HTTP/3. The port is the one that the client has come to; which
// port of this machine that leads to, it need not know. Who came by another proxy
// knows nothing but that proxy, and would be sent past it, or to where nobody
// listens.
func (c *current) alternativeFor(host string, has func(name string) bool) string {
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via", c.policy.ClientIPHeader} {
		if name != "" && has(name) {
			return ""
		}
	}
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.HasSuffix(host, "]") {
		return `h3=":443"; ma=` + altSvcAge
	}
	if port := host[colon+1:]; len(port) <= 5 && wire.IsDigits(port) {
		return `h3=":` + port + `"; ma=` + altSvcAge
	}
	return ""
}
