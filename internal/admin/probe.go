package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/upstream"
)

// An Origin is a Frontend API to be probed.
type Origin struct {
	URL     string
	RootCAs *x509.CertPool // nil: the system's
}

// probe asks each of the origins for its health until one answers, over a
// connection of its own: name, network, certificate and HTTP are all tried. It
// carries no key. Any answer counts.
func probe(ctx context.Context, origins []Origin) error {
	var errs []error
	for _, o := range origins {
		err := o.probe(ctx)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (o Origin) probe(ctx context.Context) error {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: probeTimeout,
		ForceAttemptHTTP2:   true,
		DisableKeepAlives:   true,
		IdleConnTimeout:     time.Second,
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(o.URL, "/")+"/v1/health", nil)
	if err != nil {
		return errors.New("its URL is not valid")
	}
	r.Header.Set("User-Agent", "clerk-proxy health check")
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return errors.New(upstream.Explain(err))
	}
	return resp.Body.Close()
}
