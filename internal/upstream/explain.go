package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
)

// ownPort is our end of a connection. It is another one each time, so that what
// fails for one reason would look as if it failed for many.
var ownPort = regexp.MustCompile(`\S+:\d+->`)

// Explain describes an error of an exchange with an upstream, for the log. The
// transport's own words are kept only where they are known to hold nothing that
// the upstream sent: it quotes what it cannot parse, and an upstream that echoes
// would put a token there.
func Explain(err error) string {
	var (
		network     *net.OpError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		timeout     net.Error
	)
	switch {
	case errors.As(err, &certificate):
		return certificate.Error()
	case errors.As(err, &authority):
		return authority.Error()
	case errors.As(err, &hostname):
		return hostname.Error()
	case errors.As(err, &dns):
		return ownPort.ReplaceAllString(dns.Error(), "")
	case errors.As(err, &network):
		return ownPort.ReplaceAllString(network.Error(), "")
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the upstream took too long"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection ended too early"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	kind := fmt.Sprintf("%T", err)
	if strings.HasPrefix(kind, "http.http2") {
		return "the upstream ended the request or the connection (" + kind + ")"
	}
	return "the answer is not valid HTTP (" + kind + ")"
}
