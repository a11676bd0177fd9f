package check

import (
	"cmp"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// DefaultTimeout is how long each request may take.
const DefaultTimeout = 10 * time.Second

const defaultBackendAPI = "https://api.clerk.com"

// Config says what is checked. Only ProxyURL is required. The environment is not
// read, but for HTTPS_PROXY and NO_PROXY.
type Config struct {
	// ProxyURL is the absolute URL of the proxy, such as
	// https://app.dev/__clerk. Trailing slashes mean nothing.
	ProxyURL string

	// PublishableKey is the instance's. It tells where its Frontend API is.
	PublishableKey string

	// SecretKey is the instance's. With it the domain is looked up, answers are
	// compared with what Clerk answers directly, and Clerk is asked for its own
	// check. It is sent to Clerk alone.
	SecretKey string

	// DomainID is the domain that the proxy is for, dmn_… Empty: the one that
	// the proxy URL's host is on, looked up with the secret key.
	DomainID string

	// FrontendAPIURL is the Frontend API, http to loopback only. Empty: that of
	// the publishable key's instance.
	FrontendAPIURL string

	// BackendAPIURL is the Backend API, http to loopback only. A /v1 at its end
	// means nothing. Empty: https://api.clerk.com.
	BackendAPIURL string

	// RootCAs are the authorities that the proxy's certificate is verified
	// with. Nil: the system's, as with browsers and with Clerk.
	RootCAs *x509.CertPool

	// ClerkRootCAs are the same for Clerk's APIs.
	ClerkRootCAs *x509.CertPool

	// Address is the address from which the world sees this machine. It is
	// needed only behind address translation, and only where it cannot be found
	// out. The zero value: not known.
	Address netip.Addr

	// Stranger says that the proxy has no reason to trust this machine, though
	// it connects from a loopback or a private address. An address that this
	// machine invents and the proxy believes is then a fault.
	Stranger bool

	// Timeout is how long each request may take; a check as a whole ends after
	// a dozen times as long. Zero: [DefaultTimeout].
	Timeout time.Duration

	// OnStart and OnStep, where not nil, are called before and after each step,
	// by the goroutine that called [Run].
	OnStart func(name string)
	OnStep  func(Step)
}

// A ConfigError is one problem of a [Config].
type ConfigError struct {
	// Field is the name of the field of Config.
	Field string
	// Problem says what is wrong and what to write. It holds no key.
	Problem string
}

func (e *ConfigError) Error() string { return "check: " + e.Field + ": " + e.Problem }

// Validate reports whether [Run] would accept the configuration. Its error joins
// a [*ConfigError] for each problem. It does not use the network.
func (config Config) Validate() error {
	_, err := newChecker(config)
	return err
}

func newChecker(config Config) (*checker, error) {
	var problems []error
	bad := func(field, problem string) { problems = append(problems, &ConfigError{field, problem}) }

	origin, path, problem := forwarded.ParseProxyURL(config.ProxyURL)
	switch {
	case config.ProxyURL == "":
		bad("ProxyURL", "is missing; write the URL at which browsers find the proxy, such as https://app.dev/__clerk")
	case problem != "":
		bad("ProxyURL", problem)
	case origin == "":
		bad("ProxyURL", "is a path; write the whole URL at which browsers find the proxy, such as https://app.dev"+path)
	}
	inst, _ := instance.ParsePublishableKey(config.PublishableKey)
	frontendAPI := cmp.Or(strings.TrimRight(config.FrontendAPIURL, "/"), inst.FrontendAPIURL())
	if problem := forwarded.APIURLProblem(frontendAPI, "https://frontend-api.clerk.dev"); problem != "" {
		bad("FrontendAPIURL", problem)
	}
	// Clerk's Go SDK has the version in the URL, other SDKs do not.
	backendAPI := cmp.Or(strings.TrimSuffix(strings.TrimRight(config.BackendAPIURL, "/"), "/v1"), defaultBackendAPI)
	if problem := forwarded.APIURLProblem(backendAPI, defaultBackendAPI); problem != "" {
		bad("BackendAPIURL", problem)
	}
	if id := config.DomainID; id != "" && (!strings.HasPrefix(id, "dmn_") || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f })) {
		bad("DomainID", "is not the id of a domain; it begins with dmn_")
	}
	if config.Timeout < 0 {
		bad("Timeout", "is negative; write a time such as 10s")
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}

	target, err := url.Parse(origin + path)
	if err != nil {
		return nil, &ConfigError{"ProxyURL", "is not a URL; write one such as https://app.dev/__clerk"}
	}
	c := &checker{
		Config:  config,
		target:  target,
		host:    target.Hostname(),
		timeout: cmp.Or(config.Timeout, DefaultTimeout),
		report:  Report{ProxyURL: target.String(), At: time.Now().UTC().Truncate(time.Second), Status: OK, DomainID: config.DomainID},
	}
	if live, err := instance.ParseSecretKey(config.SecretKey); err == nil && live {
		c.secret = config.SecretKey
	}
	c.proxy = newClient(target.String(), config.RootCAs, c.timeout)
	c.proxy.each = c.watch
	c.clerk = newClient(frontendAPI, config.ClerkRootCAs, c.timeout)
	c.backend = newClient(backendAPI, config.ClerkRootCAs, c.timeout)
	c.backend.header = map[string]string{"Authorization": "Bearer " + c.secret, "Clerk-API-Version": apiVersion}
	return c, nil
}

func (c *checker) close() {
	for _, each := range []*client{c.proxy, c.clerk, c.backend} {
		each.transport.CloseIdleConnections()
	}
}
