package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// parseAppURL does not quote the URL in its errors: it may hold a password.
func parseAppURL(s string) (*url.URL, error) {
	const write = "; write one such as http://localhost:3000"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is not an http or https URL" + write)
	case u.User != nil:
		return nil, errors.New("has credentials in it" + write)
	case strings.ContainsAny(s, "?#"):
		return nil, errors.New("has a query or a fragment" + write)
	}
	return u, nil
}

// parseTrustedProxies returns nil for no entries: the default. Everyone is the
// first of the entries that trusts every address there is.
func parseTrustedProxies(entries []string) (prefixes []netip.Prefix, everyone string, err error) {
	if len(entries) == 0 {
		return nil, "", nil
	}
	if len(entries) == 1 && entries[0] == "none" {
		return []netip.Prefix{}, "", nil
	}
	var bad []string
	for _, entry := range entries {
		prefix, ok := parsePrefix(strings.TrimSpace(entry))
		if !ok {
			bad = append(bad, fmt.Sprintf("%q", entry))
			continue
		}
		if prefix.Bits() == 0 && everyone == "" {
			everyone = entry
		}
		prefixes = append(prefixes, prefix)
	}
	if len(bad) > 0 {
		return nil, "", fmt.Errorf("%s: neither an address nor a range; write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32, or none alone", strings.Join(bad, ", "))
	}
	return prefixes, everyone, nil
}

func parsePrefix(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix, !prefix.Addr().Is4In6()
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

// parseSize reads a number of bytes, with or without a unit.
func parseSize(s string) (int64, error) {
	number, shift := s, 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if before, ok := strings.CutSuffix(s, unit); ok {
			number, shift = before, bits
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size; write one such as 64MiB, or 0 for none", s)
	}
	return int64(n) << shift, nil
}

// ReadCertificates reads authorities from a file in PEM. Its error follows the
// name of the file.
func ReadCertificates(name string) (*x509.CertPool, error) {
	content, _, err := readFile(name)
	if err != nil {
		return nil, err
	}
	return parseCertificates(content)
}

// parseCertificates reads authorities in PEM.
func parseCertificates(content []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}

// isOrigin reports whether s is what browsers call an origin.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s == u.Scheme+"://"+u.Host
}
