package emulator

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// domain is one of the instance's domains.
type domain struct {
	id        string
	name      string
	satellite bool

	// proxyURLs are the proxy URLs that are attributed to the domain; none means
	// that it uses DNS. Clerk has one a domain, and so has whatever goes through
	// the Backend API. RegisterProxyURL may add to it, because what a test or a
	// demo serves is reached as 127.0.0.1 and as localhost alike.
	proxyURLs []string
}

// Domain is what [Server.Domains] tells of one domain.
type Domain struct {
	ID   string
	Name string
	// IsSatellite is false for the one primary domain.
	IsSatellite bool
	// ProxyURL is empty while the domain uses DNS.
	ProxyURL string
	// FrontendAPIURL is the proxy URL, or else https://clerk.<Name>.
	FrontendAPIURL string
}

// Domains are the instance's domains, the primary one first.
func (s *Server) Domains() []Domain {
	s.mu.Lock()
	defer s.mu.Unlock()
	var domains []Domain
	for _, d := range s.state.domains {
		domains = append(domains, d.public())
	}
	return domains
}

func (d *domain) public() Domain {
	return Domain{ID: d.id, Name: d.name, IsSatellite: d.satellite, ProxyURL: d.proxyURL(), FrontendAPIURL: d.frontendAPI()}
}

// RegisterProxyURL makes the primary domain accept requests from a proxy at
// proxyURL, such as http://127.0.0.1:8080/__clerk, without the check that the
// Backend API makes. The first one is the domain's proxy_url; further ones are
// accepted beside it. A trailing slash is dropped, as proxies do.
func (s *Server) RegisterProxyURL(proxyURL string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.register(s.state.domains[0], proxyURL); err != nil {
		return fmt.Errorf("emulator: proxy URL %q: %w", proxyURL, err)
	}
	return nil
}

func (s *Server) register(d *domain, proxyURL string) error {
	proxyURL = strings.TrimRight(proxyURL, "/")
	if err := s.admits(d, proxyURL); err != nil {
		return err
	}
	if !slices.Contains(d.proxyURLs, proxyURL) {
		d.proxyURLs = append(d.proxyURLs, proxyURL)
	}
	return nil
}

// admits reports why a URL cannot be the domain's proxy URL. One that another
// domain has cannot: requests through it could not be attributed.
func (s *Server) admits(d *domain, proxyURL string) error {
	if err := d.admits(proxyURL); err != nil {
		return err
	}
	if other := s.domainByProxyURL(proxyURL); other != nil && other != d {
		return fmt.Errorf("must not be that of the domain %s", other.name)
	}
	return nil
}

func (d *domain) proxyURL() string {
	if len(d.proxyURLs) == 0 {
		return ""
	}
	return d.proxyURLs[0]
}

func (d *domain) frontendAPI() string {
	if len(d.proxyURLs) == 0 {
		return "https://" + d.frontendAPIHost()
	}
	return d.proxyURLs[0]
}

// frontendAPIFor is the proxy URL beside a page, or else frontendAPI.
func (d *domain) frontendAPIFor(page *url.URL) string {
	for _, proxyURL := range d.proxyURLs {
		if u, err := url.Parse(proxyURL); err == nil && origin(u) == origin(page) {
			return proxyURL
		}
	}
	return d.frontendAPI()
}

func (d *domain) frontendAPIHost() string { return "clerk." + d.name }

// owns reports whether host, without a port, is the domain itself or below it.
func (d *domain) owns(host string) bool {
	return strings.EqualFold(host, d.name) || strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(d.name))
}

// admits reports why a URL cannot be a proxy URL of the domain.
func (d *domain) admits(proxyURL string) error {
	u, err := url.Parse(proxyURL)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("must be an absolute URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("must not have credentials, a query or a fragment")
	case strings.HasSuffix(u.Path, "/"):
		return errors.New("must not end with a slash")
	}
	// An emulated domain has no DNS records, so what stands for it is loopback:
	// there any name will do, and plain http, which browsers trust there too.
	loopback := isLoopback(u.Hostname())
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback):
		return errors.New("must use https")
	case !loopback && !d.owns(u.Hostname()):
		return fmt.Errorf("must be on the domain %s", d.name)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// The headers that a proxy adds.
const (
	headerProxyURL  = "Clerk-Proxy-Url"
	headerSecretKey = "Clerk-Secret-Key"
)

// attribute finds the domain that a Frontend API request belongs to, and the URL
// at which the browser reaches the Frontend API. It wants Server.mu held.
func (s *Server) attribute(r *http.Request) (*domain, string, error) {
	if _, proxied := r.Header[headerProxyURL]; !proxied {
		// Without a proxy the host decides, and only for a domain that has none:
		// its browsers would otherwise hold two sets of cookies.
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		for _, d := range s.state.domains {
			if len(d.proxyURLs) == 0 && strings.EqualFold(host, d.frontendAPIHost()) {
				return d, d.frontendAPI(), nil
			}
		}
		return nil, "", errHostInvalid
	}
	if err := s.authorizeProxy(r); err != nil {
		return nil, "", err
	}
	proxyURL := r.Header.Get(headerProxyURL)
	if d := s.domainByProxyURL(proxyURL); d != nil {
		return d, proxyURL, nil
	}
	return nil, "", errHostInvalid
}

func (s *Server) domainByProxyURL(proxyURL string) *domain {
	for _, d := range s.state.domains {
		if slices.Contains(d.proxyURLs, proxyURL) {
			return d
		}
	}
	return nil
}

// domainByFrontendAPI finds the domain whose browsers reach the Frontend API at
// an address: a proxy URL, or the host of a domain that has none.
func (s *Server) domainByFrontendAPI(address string) *domain {
	for _, d := range s.state.domains {
		if len(d.proxyURLs) == 0 && d.frontendAPI() == address {
			return d
		}
	}
	return s.domainByProxyURL(address)
}

func (s *Server) domainByName(name string) *domain {
	for _, d := range s.state.domains {
		if strings.EqualFold(d.name, name) {
			return d
		}
	}
	return nil
}

// authorizeProxy checks the headers that name the proxy and prove that it is the
// instance's own. The key comes first: to whoever lacks it, the answer does not
// tell which proxy URLs there are.
func (s *Server) authorizeProxy(r *http.Request) error {
	keys := r.Header[headerSecretKey]
	switch {
	case len(keys) == 0 || keys[0] == "":
		return errProxySecretMissing
	case len(keys) > 1 || subtle.ConstantTimeCompare([]byte(keys[0]), []byte(s.SecretKey)) != 1:
		return errProxySecretInvalid
	case len(r.Header[headerProxyURL]) != 1:
		return errHostInvalid
	}
	return nil
}

// forwardedFor is the address of the person at the other end: the leftmost value
// of X-Forwarded-For, when it is an IP address.
func forwardedFor(r *http.Request) (netip.Addr, bool) {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	address, err := netip.ParseAddr(strings.TrimSpace(first))
	return address, err == nil
}
