package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
	"github.com/clerkproxy/clerkproxy/internal/printable"
)

// A clerkDomain is one of the instance's domains, as the Backend API lists it.
type clerkDomain struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	IsSatellite bool    `json:"is_satellite"`
	ProxyURL    *string `json:"proxy_url"`
}

// domain finds the domain that the proxy is for, and what proxy URL Clerk has
// for it.
func (c *checker) domain(ctx context.Context) finding {
	if c.secret == "" {
		if c.DomainID != "" {
			return ok(c.DomainID + ", as given")
		}
		return skip("only the secret key opens the list of the instance's domains")
	}
	a, err := c.backend.get(ctx, "/v1/domains", nil)
	switch {
	case err != nil:
		return skip("Clerk's Backend API cannot be reached from here")
	case a.status == http.StatusUnauthorized:
		return fail("Clerk does not know the secret key ("+cut(a.code())+")", "copy the production instance's secret key anew from the Clerk Dashboard, page API keys, for the proxy too")
	case a.status != http.StatusOK:
		return skip("Clerk's Backend API does not list the domains: " + a.describe())
	}
	var list struct {
		Data []clerkDomain `json:"data"`
	}
	if json.Unmarshal(a.plain, &list) != nil {
		return skip("Clerk's Backend API does not list the domains: " + a.describe())
	}
	d := c.domainAmong(list.Data)
	if d == nil {
		return c.noDomain(list.Data)
	}
	c.report.DomainID, c.domainURL = printable.Line(d.ID), new(string)
	if d.ProxyURL != nil {
		c.domainURL = d.ProxyURL
	}
	return c.judgeDomain(d)
}

// domainAmong finds the domain with the id that was given, or with this proxy
// URL, or else the one that the host is on.
func (c *checker) domainAmong(domains []clerkDomain) *clerkDomain {
	var found *clerkDomain
	for i := range domains {
		d := &domains[i]
		switch {
		case c.DomainID != "":
			if d.ID == c.DomainID {
				return d
			}
		case d.ProxyURL != nil && *d.ProxyURL == c.report.ProxyURL:
			return d
		case onDomain(c.host, d.Name) && (found == nil || len(d.Name) > len(found.Name)):
			found = d
		// An emulated Clerk's domain may be proxied on this machine.
		case found == nil && !d.IsSatellite && forwarded.IsLoopback(c.host):
			found = d
		}
	}
	return found
}

func onDomain(host, domain string) bool {
	host, domain = strings.ToLower(host), strings.ToLower(domain)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

func (c *checker) noDomain(domains []clerkDomain) finding {
	var names []string
	for _, d := range domains {
		names = append(names, d.Name+" ("+d.ID+")")
	}
	has := "the instance has " + cut(listed(names))
	if c.DomainID != "" {
		return fail(c.DomainID+" is not a domain of the instance: "+has, "give the id of the domain that the proxy is for, or leave it out")
	}
	return fail(c.host+" is on no domain of the instance: "+has, "serve the proxy on one of them, since Clerk accepts no other; or use the keys of the instance that has "+c.host)
}

func (c *checker) judgeDomain(d *clerkDomain) finding {
	seen := d.ID + ", " + d.Name
	set := *c.domainURL
	switch {
	case set == "":
		return ok(seen + "; no proxy URL is set for it yet")
	case set == c.report.ProxyURL:
		return ok(seen + "; this proxy URL is set for it")
	case strings.TrimRight(set, "/") == c.report.ProxyURL:
		return warn(seen+"; its proxy URL is set with a slash at its end, which a Clerk-Proxy-Url does not have", "set it to "+c.report.ProxyURL)
	}
	return warn(fmt.Sprintf("%s; another proxy URL is set for it: %s", seen, cut(set)), "if this is the one to be used, set it to "+c.report.ProxyURL)
}

// acceptance has Clerk call the proxy, as it does before it accepts the URL. It
// changes nothing: https://clerk.com/docs/reference/backend-api, proxy checks.
func (c *checker) acceptance(ctx context.Context) finding {
	switch {
	case c.secret == "":
		return skip("only the secret key lets one ask Clerk")
	case c.report.DomainID == "":
		return skip("the domain is not known")
	case c.beyondClerk():
		return skip("Clerk cannot call a loopback or private address")
	}
	body, err := json.Marshal(map[string]string{"domain_id": c.report.DomainID, "proxy_url": c.report.ProxyURL})
	if err != nil {
		return skip("the request cannot be written")
	}
	a, err := c.backend.ask(ctx, http.MethodPost, "/v1/proxy_checks", string(body), map[string]string{"Content-Type": "application/json"})
	if err != nil {
		return skip("Clerk does not answer in time whether it accepts the proxy")
	}
	var check struct {
		Successful bool `json:"successful"`
	}
	_ = json.Unmarshal(a.plain, &check) // an error has no such field
	switch {
	case a.status == http.StatusOK && check.Successful:
		return ok("Clerk called the proxy and accepts it")
	case a.status == http.StatusOK:
		return fail("Clerk called the proxy and does not accept it", acceptanceAdvice)
	case a.status == http.StatusBadRequest || a.status == http.StatusUnprocessableEntity:
		return fail("Clerk does not accept the proxy URL: "+quoted(a.message()), acceptanceAdvice)
	}
	return skip("Clerk does not say whether it accepts the proxy: " + a.describe())
}

const acceptanceAdvice = "mend what fails above; if nothing does, Clerk's servers are kept out, by a firewall or a rule for countries or bots, or they reach another machine by this name"

// beyondClerk reports whether the proxy URL leads where Clerk's servers cannot
// go. An emulated Clerk on this machine can.
func (c *checker) beyondClerk() bool {
	if clerk, err := url.Parse(c.backend.base); err == nil && forwarded.IsLoopback(clerk.Hostname()) {
		return false
	}
	addr, err := netip.ParseAddr(c.host)
	return forwarded.IsLoopback(c.host) || err == nil && inside(addr)
}

// inside reports whether an address is one that no stranger on the Internet can
// have: loopback, private, link-local, or shared by a carrier's customers.
func inside(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrier.Contains(a)
}

// carrier is the range of RFC 6598, for address translation by carriers.
var carrier = netip.MustParsePrefix("100.64.0.0/10")
