package emulator

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// What the parameter __clerk_synced says on a satellite.
const (
	paramSynced = "__clerk_synced"
	syncNeeded  = "false" // the person has just signed in on the primary domain
	syncDone    = "true"
)

// linkLifetime is how long a satellite has to fetch the browser's client.
const linkLifetime = time.Minute

// link is a browser's client on its way from the primary domain to a satellite.
type link struct {
	satellite *domain
	clientID  string // empty: the browser has none on the primary domain
	back      *url.URL
}

// Satellite is a further domain of the instance. People sign in on the primary
// domain and are then signed in here too.
type Satellite struct {
	// Domain is its name, such as satellite.dev. It must not be the primary
	// domain's.
	Domain string
	// ProxyURLs are accepted as [Server.RegisterProxyURL] does for the primary
	// domain; the first one is the satellite's proxy_url.
	ProxyURLs []string
}

// AddSatellite adds a satellite domain, without the check that the Backend API
// makes of its proxy URL. To one that is there already it adds proxy URLs.
func (s *Server) AddSatellite(satellite Satellite) (Domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.satellite(satellite.Domain)
	if err != nil {
		return Domain{}, fmt.Errorf("emulator: the satellite %q: %w", satellite.Domain, err)
	}
	var problems []error
	for _, proxyURL := range satellite.ProxyURLs {
		if err := s.register(d, proxyURL); err != nil {
			problems = append(problems, fmt.Errorf("emulator: proxy URL %q of the satellite %s: %w", proxyURL, d.name, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Domain{}, err
	}
	s.addDomain(d)
	return d.public(), nil
}

// isDomainName reports whether a publishable key can hold the host of a domain's
// Frontend API.
func isDomainName(name string) bool {
	_, err := instance.ParsePublishableKey(instance.PublishableKey("clerk."+name, true))
	return err == nil
}

// satellite finds the satellite of that name, or makes one that is not yet among
// the domains.
func (s *Server) satellite(name string) (*domain, error) {
	if !isDomainName(name) {
		return nil, errors.New("is not a domain name")
	}
	d := s.domainByName(name)
	switch {
	case d == nil:
		return &domain{id: newID("dmn"), name: name, satellite: true}, nil
	case !d.satellite:
		return nil, errors.New("is the primary domain")
	}
	return d, nil
}

func (s *Server) addDomain(d *domain) {
	if !slices.Contains(s.state.domains, d) {
		s.state.domains = append(s.state.domains, d)
	}
}

// mustSync reports whether a satellite has to ask the primary domain before it
// can answer a handshake: because a sign-in just happened there, or because it
// knows of none itself.
func (c *call) mustSync(back *url.URL) bool {
	if !c.domain.satellite || c.synced() {
		return false
	}
	return back.Query().Get(paramSynced) == syncNeeded || c.handshakeSession() == nil
}

// synced reports whether the browser comes back from the primary domain.
func (c *call) synced() bool {
	return c.domain.satellite && c.request.Form.Get(paramSynced) == syncDone
}

// syncAndReturn begins syncing, to come back to this very handshake.
func (c *call) syncAndReturn() (any, error) {
	query := maps.Clone(c.request.URL.Query())
	// The old session token says nothing that the primary domain must know.
	query.Del(cookieSession)
	here, err := at(c.proxyURL, c.request.URL.Path, query)
	if err != nil {
		return nil, err
	}
	return c.askPrimary(here)
}

// sync is called in turn on a satellite, by ClerkJS, and on the primary domain,
// by the satellite: there it hands over the browser's client.
func (c *call) sync() (any, error) {
	back, err := c.redirectURL()
	if err != nil {
		return nil, err
	}
	satellite := c.domain
	if !c.domain.satellite {
		satellite = c.server.domainByName(c.request.Form.Get("link_domain"))
	}
	switch {
	case satellite == nil || !satellite.satellite:
		return nil, errParameterValue.about("link_domain")
	case !satellite.hosts(back):
		// The client is for the satellite alone.
		return nil, errRedirectURL.about("redirect_url")
	case c.domain.satellite:
		return c.askPrimary(back)
	}

	handed := link{satellite: satellite, back: back}
	if c.client != nil {
		handed.clientID = c.client.id
	}
	token := c.server.state.links.put(handed, c.now, linkLifetime)
	to, err := at(satellite.frontendAPIFor(back), "/v1/client/link", url.Values{"__clerk_token": {token}})
	return redirect{to: to}, err
}

func (c *call) askPrimary(back *url.URL) (any, error) {
	query := url.Values{"link_domain": {c.domain.name}, "redirect_url": {back.String()}}
	to, err := at(c.server.state.domains[0].frontendAPI(), "/v1/client/sync", query)
	return redirect{to: to}, err
}

// link takes over the browser's client on a satellite. Where the primary domain
// has none, the satellite loses what it had.
func (c *call) link() (any, error) {
	if !c.domain.satellite {
		return nil, errOnPrimary
	}
	handed, ok := c.server.state.links.take(c.request.Form.Get("__clerk_token"), c.now)
	if !ok || handed.satellite != c.domain {
		return nil, errSyncNonce.about("__clerk_token")
	}
	c.client = c.server.state.clients[handed.clientID]
	return redirect{to: with(handed.back, paramSynced, syncDone)}, nil
}

// createDomain adds a satellite; its proxy URL, if it has one, must pass its
// check.
func (s *Server) createDomain(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in struct {
		Name        string  `json:"name"`
		IsSatellite bool    `json:"is_satellite"`
		ProxyURL    *string `json:"proxy_url"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, err
	}
	d, err := s.newDomain(in.Name, in.IsSatellite)
	if err != nil {
		return nil, err
	}
	if in.ProxyURL == nil {
		return s.shown(d), nil
	}
	// The domain must be there already: the check asks for it by its id.
	if err := s.checkProxy(r.Context(), d.id, *in.ProxyURL); err != nil {
		s.removeDomain(d)
		return nil, err
	}
	s.mu.Lock()
	d.proxyURLs = []string{*in.ProxyURL}
	s.mu.Unlock()
	return s.shown(d), nil
}

func (s *Server) newDomain(name string, isSatellite bool) (*domain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case name == "":
		return nil, errParameterMissing.about("name")
	case !isSatellite:
		return nil, errParameterValue.about("is_satellite")
	case s.domainByName(name) != nil:
		return nil, errDomainExists.about("name")
	}
	d, err := s.satellite(name)
	if err != nil {
		return nil, errParameterFormat.about("name")
	}
	s.addDomain(d)
	return d, nil
}

func (s *Server) removeDomain(d *domain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.domains = slices.DeleteFunc(s.state.domains, func(one *domain) bool { return one == d })
}

func (s *Server) shown(d *domain) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return domainJSON(d)
}
