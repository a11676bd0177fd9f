package certificate

import (
	"crypto/x509"
	"slices"
	"time"
)

// Sources of certificates, [Info].Source.
const (
	SourceFile = "file"
	SourceACME = "acme"
)

// Info describes a certificate that is in force, or one that is wanted.
type Info struct {
	// Names are the hosts that it is for: DNS names and addresses.
	Names []string
	// Source is [SourceFile] or [SourceACME].
	Source string
	// File is the certificate's, for SourceFile.
	File string
	// Issuer is the common name of the authority, or its organization. Empty,
	// like the times: nothing has been issued yet.
	Issuer string
	// NotBefore and NotAfter are when it is valid.
	NotBefore, NotAfter time.Time
	// Failure says why there is no newer one: what is in the files cannot be
	// used, or the authority would not issue. Empty: all is well.
	Failure string
}

// Certificates describes all certificates, those in files first.
func (m *Manager) Certificates() []Info {
	s := m.state.Load()
	infos := make([]Info, 0, len(s.files)+len(s.hosts))
	for _, each := range s.files {
		info := Info{Source: SourceFile, File: each.Cert, Failure: each.failure}
		info.describe(each.cert.Leaf)
		infos = append(infos, info)
	}
	a := m.authority.Load()
	for _, host := range s.hosts {
		info := Info{Names: []string{host}, Source: SourceACME}
		if cert := m.issued(host); cert != nil {
			info.describe(cert.Leaf)
		}
		if a != nil {
			info.Failure = a.failure(host)
		}
		infos = append(infos, info)
	}
	return infos
}

func (i *Info) describe(leaf *x509.Certificate) {
	i.Names = slices.Clone(leaf.DNSNames)
	for _, address := range leaf.IPAddresses {
		i.Names = append(i.Names, address.String())
	}
	i.Issuer = leaf.Issuer.CommonName
	if i.Issuer == "" && len(leaf.Issuer.Organization) > 0 {
		i.Issuer = leaf.Issuer.Organization[0]
	}
	i.NotBefore, i.NotAfter = leaf.NotBefore, leaf.NotAfter
}
