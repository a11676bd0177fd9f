// Package upstream makes the connections to Clerk's Frontend API.
package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"
)

// Config says how to connect. For every duration zero means no limit.
type Config struct {
	// RootCAs are the authorities that the upstream's certificate is verified
	// with. Nil: the system's.
	RootCAs *x509.CertPool
	// DialTimeout limits the name look-up and the TCP connection.
	DialTimeout time.Duration
	// TLSHandshakeTimeout limits the TLS handshake.
	TLSHandshakeTimeout time.Duration
	// ResponseHeaderTimeout limits the wait for the answer's headers once the
	// request has been sent.
	ResponseHeaderTimeout time.Duration
	// IdleConnTimeout is how long an unused connection is kept.
	IdleConnTimeout time.Duration
}

// New returns a transport for requests to one origin. HTTP/2 is used where the
// upstream offers it. HTTPS_PROXY and NO_PROXY of the environment are honoured.
func New(c Config) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: c.DialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   c.TLSHandshakeTimeout,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		IdleConnTimeout:       c.IdleConnTimeout,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		// A connection that died without a word (a NAT that forgot it) would
		// otherwise be found out by a request.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		// One origin: the limit that matters is the one a host.
		MaxIdleConnsPerHost: 256,
		// The client's own Accept-Encoding travels; nothing is decompressed.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 1 << 20,
	}
}
