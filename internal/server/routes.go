package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
)

// routes lead a request to its site, by its public host.
type routes struct {
	sites    []*site
	byHost   forwarded.HostMap[*site]
	fallback *site // for all other hosts; nil: there is none

	secretKeys map[*site]string // of sites that stay
}

func (rt *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	access := accessOf(r.Context())
	site := rt.of(access.source)
	switch {
	case site != nil:
		site.ServeHTTP(w, r)
	case access.source.Host == "":
		plainError(w, http.StatusBadRequest, "The request does not name a valid host.")
	default:
		noSite(w)
	}
}

func noSite(w http.ResponseWriter) {
	plainError(w, http.StatusMisdirectedRequest, "This server has no site of this host. If it should, add the host to those of the site.")
}

// of is the site of requests from a source, or nil.
func (rt *routes) of(source forwarded.Source) *site {
	if site, ok := rt.byHost.Get(source.Host, source.Scheme); ok {
		return site
	}
	return rt.fallback
}

// routes wires the sites, or returns every problem that they have. Those of the
// former ones that are to stay as they are, stay; but for their secret keys,
// which setSecretKeys is for.
func (c *Config) routes(log *slog.Logger, tracer *tracing.Tracer, former *routes) (*routes, []error) {
	errs := c.siteProblems()
	rt := &routes{sites: make([]*site, len(c.Sites)), secretKeys: map[*site]string{}}
	policy := c.policy()
	for i, config := range c.Sites {
		same := former.find(config, policy)
		siteLog := log
		if same != nil {
			siteLog = slog.New(slog.DiscardHandler) // it is made only to see what is wrong
		}
		site, err := newSite(config, policy, tracer, siteLog)
		errs = append(errs, ofSite(i, err)...)
		if same != nil && err == nil {
			_, rt.secretKeys[same] = site.proxy.Keys()
			site = same
		}
		rt.sites[i] = site
	}
	if len(errs) > 0 {
		return nil, errs
	}
	for i, config := range c.Sites {
		for _, host := range config.Hosts {
			entry, _ := forwarded.CanonicalHostEntry(host)
			rt.byHost.Set(entry, rt.sites[i])
		}
		if len(config.Hosts) == 0 {
			rt.fallback = rt.sites[i]
		}
	}
	return rt, nil
}

// find returns the site that is what a configuration says, or nil.
func (rt *routes) find(config Site, policy forwarded.Policy) *site {
	if rt == nil {
		return nil
	}
	for _, site := range rt.sites {
		if site.is(config, policy) {
			return site
		}
	}
	return nil
}

// setSecretKeys gives the sites that stay their keys, which may have been
// rotated.
func (rt *routes) setSecretKeys() {
	for site, key := range rt.secretKeys {
		_ = site.proxy.SetSecretKey(key) // newSite has found it to be good
	}
}

// retireAllBut retires the sites that are not among the next ones.
func (rt *routes) retireAllBut(next *routes) {
	for _, site := range rt.sites {
		if !slices.Contains(next.sites, site) {
			site.retire()
		}
	}
}

// siteProblems are those that sites have with one another.
func (c *Config) siteProblems() (errs []error) {
	if len(c.Sites) == 0 {
		return []error{&clerkproxy.ConfigError{Field: "Sites", Problem: "is empty, so there is nothing to serve; name a site, with its hosts and keys"}}
	}
	fail := func(i int, field, format string, args ...any) {
		errs = append(errs, &SiteError{i, &clerkproxy.ConfigError{Field: field, Problem: fmt.Sprintf(format, args...)}})
	}
	names, hosts, fallback := map[string]bool{}, map[string]string{}, ""
	for i, site := range c.Sites {
		name := site.NameOrDefault()
		if names[name] {
			fail(i, "Name", "%q is the name of another site too; give each its own", name)
		}
		names[name] = true
		for _, host := range site.Hosts {
			entry, ok := forwarded.CanonicalHostEntry(host)
			if other, taken := hosts[entry]; ok && taken {
				fail(i, "Hosts", "%s is there twice, for site %q too; leave it out of one of them", entry, other)
			}
			hosts[entry] = name
		}
		switch {
		case len(site.Hosts) > 0:
		case fallback != "":
			fail(i, "Hosts", "is missing: one site at most takes the hosts that no other has, and that is %q", fallback)
		default:
			fallback = name
		}
	}
	return errs
}

// ofSite says of which site each of the joined errors is. Those of whom to
// believe are the same for every site, and are the server's.
func ofSite(i int, err error) (errs []error) {
	for _, each := range Problems(err) {
		var problem *clerkproxy.ConfigError
		shared := errors.As(each, &problem) && (problem.Field == "TrustedProxies" || problem.Field == "ClientIPHeader")
		switch {
		case !shared:
			errs = append(errs, &SiteError{i, each})
		case i == 0:
			errs = append(errs, each)
		}
	}
	return errs
}
