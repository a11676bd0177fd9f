package domains

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// lookupTimeout limits what is asked of DNS about one record.
const lookupTimeout = 10 * time.Second

// Resolver is what is needed of a [net.Resolver].
type Resolver interface {
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

func (c CNAME) String() string {
	if c.Target == "" {
		return c.Host + " is in DNS"
	}
	return c.Host + " is an alias of " + c.Target
}

// problem says why a host is not the alias that it should be, or nothing when it
// is. The error is one of DNS.
func (c CNAME) problem(ctx context.Context, r Resolver) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	name, err := canonical(ctx, r, c.Host)
	var unknown *net.DNSError
	if errors.As(err, &unknown) && unknown.IsNotFound {
		return c.Host + " is not in DNS" + c.remedy(), nil
	}
	if err != nil || c.Target == "" || strings.EqualFold(name, c.Target) {
		return "", err
	}
	// The target may be an alias itself, and some DNS providers answer with the
	// target's addresses in place of the alias.
	if target, err := canonical(ctx, r, c.Target); err == nil && strings.EqualFold(name, target) {
		return "", nil
	}
	here, err := r.LookupHost(ctx, absolute(c.Host))
	there, _ := r.LookupHost(ctx, absolute(c.Target))
	if err == nil && slices.ContainsFunc(here, func(address string) bool { return slices.Contains(there, address) }) {
		return "", nil
	}
	return fmt.Sprintf("%s leads to %s in DNS%s, and let the DNS provider not proxy it", c.Host, name, c.remedy()), nil
}

func (c CNAME) remedy() string {
	if c.Target == "" {
		return "; add the record that the Clerk Dashboard shows, page Domains"
	}
	return "; make it a CNAME of " + c.Target
}

// canonical is the name at the end of the aliases.
func canonical(ctx context.Context, r Resolver, host string) (string, error) {
	name, err := r.LookupCNAME(ctx, absolute(host))
	return strings.TrimSuffix(name, "."), err
}

// absolute keeps the search domains of this machine out of it.
func absolute(host string) string { return strings.TrimSuffix(host, ".") + "." }
