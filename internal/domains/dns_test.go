package domains

import (
	"context"
	"net"
	"strings"
	"testing"
)

// standInDNS has aliases, and addresses for what does not end in a dot.
type standInDNS map[string]string

func (d standInDNS) LookupCNAME(_ context.Context, host string) (string, error) {
	name, ok := d[host]
	switch {
	case !ok:
		return "", &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case !strings.HasSuffix(name, "."):
		return host, nil
	}
	if further, ok := d[name]; ok && strings.HasSuffix(further, ".") {
		return further, nil
	}
	return name, nil
}

func (d standInDNS) LookupHost(ctx context.Context, host string) ([]string, error) {
	address, ok := d[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if strings.HasSuffix(address, ".") {
		return d.LookupHost(ctx, address)
	}
	return []string{address}, nil
}

type brokenDNS struct{}

func (brokenDNS) LookupCNAME(context.Context, string) (string, error) {
	return "", &net.DNSError{Err: "server misbehaving", IsTemporary: true}
}

func (brokenDNS) LookupHost(context.Context, string) ([]string, error) {
	return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}
}

func TestRecords(t *testing.T) {
	const target = "frontend-api.clerk.services"
	tests := []struct {
		name   string
		dns    standInDNS
		target string
		says   string
	}{
		{"an alias", standInDNS{"clerk.app.dev.": target + "."}, target, ""},
		{"an alias in capitals", standInDNS{"clerk.app.dev.": "Frontend-API.clerk.services."}, target, ""},
		{"an alias of an alias", standInDNS{"clerk.app.dev.": "fapi.app.dev.", "fapi.app.dev.": target + "."}, target, ""},
		{"an alias of what is an alias itself", standInDNS{"clerk.app.dev.": "edge.test.", target + ".": "edge.test."}, target, ""},
		{"the target's addresses in place of the alias", standInDNS{"clerk.app.dev.": "192.0.2.1", target + ".": "192.0.2.1"}, target, ""},
		{"other addresses", standInDNS{"clerk.app.dev.": "192.0.2.9", target + ".": "192.0.2.1"}, target, "leads to clerk.app.dev in DNS; make it a CNAME of " + target + ", and let the DNS provider not proxy it"},
		{"another alias", standInDNS{"clerk.app.dev.": "other.test."}, target, "leads to other.test in DNS"},
		{"nothing", standInDNS{target + ".": "192.0.2.1"}, target, "clerk.app.dev is not in DNS; make it a CNAME of " + target},
		{"something, whatever it is", standInDNS{"clerk.app.dev.": "192.0.2.1"}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem, err := CNAME{Host: "clerk.app.dev", Target: tt.target}.problem(t.Context(), tt.dns)
			if err != nil || (problem == "") != (tt.says == "") || !strings.Contains(problem, tt.says) {
				t.Errorf("got %q, %v", problem, err)
			}
		})
	}
}
