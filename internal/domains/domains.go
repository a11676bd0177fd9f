// Package domains moves the domains of a Clerk instance between DNS and a proxy,
// through Clerk's Backend API, and does not leave a site behind on which nobody
// can sign in: what is to be is tried before and after the change, and the change
// is undone when it does not work.
//
// https://clerk.com/docs/guides/dashboard/dns-domains/proxy-fapi
package domains

import (
	"errors"
	"fmt"
	"strings"
)

// Domain is one of an instance's domains.
type Domain struct {
	ID   string
	Name string // the host, such as app.dev
	// Satellite is false for the one primary domain.
	Satellite bool
	// ProxyURL is empty while the domain uses DNS.
	ProxyURL string
	// FrontendAPIURL is where browsers reach the Frontend API.
	FrontendAPIURL string
	// CNAMEs are the DNS records that Clerk knows for the domain, or none.
	CNAMEs []CNAME
}

// CNAME is a DNS record that makes a host an alias of one of Clerk's.
type CNAME struct {
	Host, Target string
	// Required says that Clerk wants it as things are. A proxied domain needs
	// none for the Frontend API.
	Required bool
}

// String names the domain as people and Clerk do: app.dev (dmn_…, primary).
func (d Domain) String() string { return fmt.Sprintf("%s (%s, %s)", d.Name, d.ID, d.Kind()) }

// Kind is primary or satellite.
func (d Domain) Kind() string {
	if d.Satellite {
		return "satellite"
	}
	return "primary"
}

// frontendAPIRecord is the record that the Frontend API needs without a proxy.
// Its target is empty when Clerk does not name it.
func (d Domain) frontendAPIRecord() CNAME {
	host := "clerk." + d.Name
	for _, record := range d.CNAMEs {
		if strings.EqualFold(record.Host, host) || strings.HasPrefix(record.Target, "frontend-api.") {
			return record
		}
	}
	return CNAME{Host: host}
}

// Find returns the domain with that id or name. Its error lists what there is.
func Find(domains []Domain, wanted string) (Domain, error) {
	var found []Domain
	for _, d := range domains {
		if d.ID == wanted {
			return d, nil
		}
		if strings.EqualFold(d.Name, wanted) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Domain{}, fmt.Errorf("%q is several domains; name one by its id: %s", wanted, list(found))
	case len(domains) == 0:
		return Domain{}, errors.New("the instance has no domain")
	}
	return Domain{}, fmt.Errorf("the instance has no domain %q; there is %s", wanted, list(domains))
}

func list(domains []Domain) string {
	var names []string
	for _, d := range domains {
		names = append(names, d.String())
	}
	return strings.Join(names, ", ")
}
