// Package upstream makes the connections to Clerk's Frontend API.
package upstream

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says how to connect. For every duration zero means the default and a
// negative value no limit.
type Config struct {
	// RootCAs are the authorities that the upstream's certificate is verified
	// with. Nil: the system's.
	RootCAs *x509.CertPool
	// DialTimeout limits the name look-up and the TCP connection. Default:
	// 10 s.
	DialTimeout time.Duration
	// TLSHandshakeTimeout limits the TLS handshake. Default: 10 s.
	TLSHandshakeTimeout time.Duration
	// ResponseHeaderTimeout limits the wait for the answer's headers once the
	// request has been sent. Default: 30 s.
	ResponseHeaderTimeout time.Duration
	// IdleConnTimeout is how long an unused connection is kept. Default: 90 s.
	IdleConnTimeout time.Duration
}

// An Origin is where all requests of a [Transport] go.
type Origin struct {
	Scheme string // http or https
	Host   string // with a port unless it is the scheme's own
}

func (o Origin) tls() bool { return o.Scheme == "https" }

// addr is what to dial.
func (o Origin) addr() string {
	u := url.URL{Host: o.Host}
	port := u.Port()
	if port == "" {
		port = "80"
		if o.tls() {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// New returns a transport for requests to one origin. HTTPS_PROXY and NO_PROXY
// of the environment are honoured.
func New(origin Origin, c Config) *Transport {
	c.DialTimeout = Timeout(c.DialTimeout, 10*time.Second)
	c.TLSHandshakeTimeout = Timeout(c.TLSHandshakeTimeout, 10*time.Second)
	c.ResponseHeaderTimeout = Timeout(c.ResponseHeaderTimeout, 30*time.Second)
	c.IdleConnTimeout = Timeout(c.IdleConnTimeout, 90*time.Second)

	dialer := &dialer{net: net.Dialer{Timeout: c.DialTimeout, KeepAlive: 30 * time.Second}}
	secure := &tls.Config{
		RootCAs:            c.RootCAs,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
		// Small records first are for browsers that render what has come.
		DynamicRecordSizingDisabled: true,
	}
	shared := newShared(c, dialer, secure)
	t := &Transport{
		origin: origin,
		config: c,
		dialer: dialer,
		shared: shared,
		wide:   wide{origin: origin, queue: make(queue, maxConns), transport: shared, timeout: cmp.Or(c.DialTimeout, time.Minute) + c.TLSHandshakeTimeout, attentive: time.Hour, pause: dialPause},
	}
	probe := &http.Request{URL: &url.URL{Scheme: origin.Scheme, Host: origin.Host}}
	if egress, err := http.ProxyFromEnvironment(probe); err == nil && egress == nil {
		own := secure.Clone()
		own.NextProtos = []string{"http/1.1"}
		own.ServerName = strings.Trim((&url.URL{Host: origin.Host}).Hostname(), ".")
		t.lane = &lane{origin: origin, config: c, dialer: dialer, tls: own, pause: dialPause}
	}
	return t
}

// newShared is net/http's transport, tuned for one origin.
func newShared(c Config, dialer *dialer, secure *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       secure,
		TLSHandshakeTimeout:   c.TLSHandshakeTimeout,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		IdleConnTimeout:       c.IdleConnTimeout,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		// A connection that died without a word (a NAT that forgot it) would
		// otherwise be found out by a request.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		// One origin: the limit that matters is the one a host.
		MaxIdleConnsPerHost: maxConns,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      32 << 10,
		// The client's own Accept-Encoding travels; nothing is decompressed.
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

// Timeout is what a configured duration means where zero is the standard and a
// negative value is no limit; net/http writes no limit as 0.
func Timeout(configured, standard time.Duration) time.Duration {
	if configured < 0 {
		return 0
	}
	return cmp.Or(configured, standard)
}
