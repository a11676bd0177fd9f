package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// behaviour is how a proxy does its job, found out before it is measured: a
// proxy that does less has an easier life.
type behaviour struct {
	// received are the header lines that the upstream received.
	received []string
	// cookies is how many of the upstream's two Set-Cookie came through.
	cookies int
	// compressed tells whether a compressed asset travels as such.
	compressed bool
	// streams tells whether an event arrives when it is sent.
	streams bool
}

// probe asks the proxy as a browser would.
func probe(ctx context.Context, s setting) (b behaviour, err error) {
	config, err := s.certs.client()
	if err != nil {
		return b, err
	}
	transport := &http.Transport{
		TLSClientConfig:    config,
		ForceAttemptHTTP2:  s.http2,
		DisableCompression: true,
		DisableKeepAlives:  true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.listen())
		},
	}
	get := func(path string, timeout time.Duration) (*http.Response, func(), error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		scheme := "http"
		if s.http2 {
			scheme = "https"
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s:%d%s%s", scheme, appHost, s.port, proxyPath, path), nil)
		if err != nil {
			cancel()
			return nil, nil, err
		}
		r.Host = appHost
		r.Header.Set("Accept-Encoding", "gzip")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			cancel()
			return nil, nil, err
		}
		done := func() {
			_ = resp.Body.Close()
			cancel()
		}
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
			done()
			return nil, nil, fmt.Errorf("%s: %s", path, resp.Status)
		}
		return resp, done, nil
	}

	resp, done, err := get(pathEcho, 5*time.Second)
	if err != nil {
		return b, err
	}
	if s.http2 && resp.ProtoMajor != 2 {
		err = errNoHTTP2
	} else {
		b.cookies = len(resp.Header["Set-Cookie"])
		err = json.NewDecoder(resp.Body).Decode(&b.received)
	}
	done()
	if err != nil {
		return b, err
	}

	if resp, done, err = get(pathClerkJS, 5*time.Second); err != nil {
		return b, err
	}
	b.compressed = resp.Header.Get("Content-Encoding") == "gzip"
	_, _ = io.Copy(io.Discard, resp.Body)
	done()

	// The next event comes after half a second.
	if resp, done, err = get(pathEvents, 300*time.Millisecond); err == nil {
		n, _ := resp.Body.Read(make([]byte, 64))
		b.streams = n > 0
		done()
	}
	return b, nil
}

// receivedHeader reports whether the upstream received a header, by the end of its
// value.
func (b behaviour) receivedHeader(name, end string) bool {
	return slices.ContainsFunc(b.received, func(line string) bool {
		n, value, _ := strings.Cut(line, ":")
		return strings.EqualFold(n, name) && strings.HasSuffix(value, end)
	})
}

// address tells whether the upstream is told the client's address. Clerk needs
// it, but a proxy that has someone else find it out can be compared.
func (b behaviour) address() bool { return b.receivedHeader("X-Forwarded-For", "127.0.0.1") }

// fault says what makes a proxy unfit to be compared: Clerk would refuse it.
func (b behaviour) fault() error {
	var errs []error
	for name, end := range map[string]string{"Clerk-Proxy-Url": "://" + appHost + proxyPath, "Clerk-Secret-Key": secretKey} {
		if !b.receivedHeader(name, end) {
			errs = append(errs, fmt.Errorf("the upstream received no right %s", name))
		}
	}
	return errors.Join(errs...)
}
