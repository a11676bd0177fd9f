package emulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// checkTimeout is how long a proxy may take to answer its check.
const checkTimeout = 5 * time.Second

// proxyCheck is a check under way. State.checks holds true for it once a healthy
// request with exactly this proxy URL has come in.
type proxyCheck struct {
	domainID string
	proxyURL string
}

// checkProxy calls a proxy URL's /v1/proxy-health for real. Its error is an
// [apiError]. It wants Server.mu not held.
func (s *Server) checkProxy(ctx context.Context, domainID, proxyURL string) error {
	s.mu.Lock()
	if err := s.admits(s.domainByID(domainID), proxyURL); err != nil {
		s.mu.Unlock()
		return newError(http.StatusUnprocessableEntity, errParameterFormat.code, "The proxy URL "+err.Error()+".").about("proxy_url")
	}
	check := &proxyCheck{domainID: domainID, proxyURL: proxyURL}
	s.state.checks[check] = false
	s.mu.Unlock()

	err := s.askProxy(ctx, check)

	s.mu.Lock()
	arrived := s.state.checks[check]
	delete(s.state.checks, check)
	s.mu.Unlock()
	if err == nil && !arrived {
		// Someone answered that all is well, but not this instance; or the
		// proxy goes by another name.
		err = fmt.Errorf("the answer did not come from this instance with the Clerk-Proxy-Url %s", proxyURL)
	}
	if err != nil {
		return errProxyConfiguration(err)
	}
	return nil
}

func (s *Server) askProxy(ctx context.Context, check *proxyCheck) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	target := check.proxyURL + "/v1/proxy-health?domain_id=" + url.QueryEscape(check.domainID)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Transport: s.config.ProxyCheckTransport,
		// A proxy that redirects its check elsewhere does not forward it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if client.Transport == nil {
		client.Transport = s.checkTransport()
	}
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error // it repeats the URL, which the caller knows
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return err
	}
	var health struct{ Status, Message string }
	switch err := json.Unmarshal(body, &health); {
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("it answered with status %d", response.StatusCode)
	case err != nil:
		return errors.New("its answer is not JSON")
	case health.Status != "healthy":
		return fmt.Errorf("it is not healthy: %s", health.Message)
	}
	return nil
}

// checkTransport trusts what the system trusts, and the emulator's own authority,
// for a proxy that has its certificate from there. It keeps no connection.
func (s *Server) checkTransport() http.RoundTripper {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AddCert(s.authority.certificate)
	return &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DisableKeepAlives: true,
	}
}
