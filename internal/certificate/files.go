package certificate

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
)

// files are the pairs in force, in the order of Config.Files.
type files []*pair

// match is the certificate for the name that a client asks for, or nil: one with
// the very name goes before one with a wildcard. A client that names no host gets
// the first that it supports.
func (f files) match(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	var wildcard *tls.Certificate
	for _, each := range f {
		if hello.SupportsCertificate(each.cert) != nil {
			continue
		}
		if name == "" || slices.ContainsFunc(each.cert.Leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) }) {
			return each.cert
		}
		if wildcard == nil {
			wildcard = each.cert
		}
	}
	return wildcard
}

// first is the certificate for clients that there is none for, or nil.
func (f files) first() *tls.Certificate {
	if len(f) == 0 {
		return nil
	}
	return f[0].cert
}

// cover reports whether there is a certificate with the name.
func (f files) cover(name string) bool {
	return slices.ContainsFunc(f, func(p *pair) bool { return p.cert.Leaf.VerifyHostname(name) == nil })
}

// refresh is f with what has changed in the files, and whether anything has.
func (f files) refresh(log *slog.Logger) (fresh files, changed bool) {
	for _, old := range f {
		each, warnings := old.refresh()
		fresh = append(fresh, each)
		if each == old {
			continue
		}
		changed = true
		if each.cert != old.cert {
			log.Info("certificate loaded", slog.String("file", each.Cert), slog.Time("not_after", each.cert.Leaf.NotAfter))
		}
		for _, warning := range warnings {
			log.Warn(warning)
		}
		if each.failure != "" {
			log.Warn("a changed certificate cannot be used; the one from before stays in force", slog.String("reason", each.failure))
		}
	}
	return fresh, changed
}
