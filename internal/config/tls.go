package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// TLS says with which certificates the server does TLS. With none it does not.
type TLS struct {
	// Certificates are those in files.
	Certificates []Certificate `yaml:"certificates"`
	// ACME has an authority issue certificates.
	ACME ACME `yaml:"acme"`
	// HSTS is for how long browsers are told to use nothing but HTTPS; 0: they
	// are told nothing.
	HSTS time.Duration `yaml:"hsts"`
}

// Certificate names the PEM files of a certificate, with its chain, and its key.
type Certificate struct {
	Cert string `yaml:"cert,file"`
	Key  string `yaml:"key,file"`
}

// ACME is how certificates are issued. All but Enabled counts only with it.
type ACME struct {
	Enabled bool `yaml:"enabled"`
	// Hosts are what to have certificates for. Empty: those of the sites.
	Hosts []string `yaml:"hosts"`
	// Email is where the authority writes to.
	Email string `yaml:"email"`
	// Directory is the URL of the authority's directory, or staging. Empty: Let's
	// Encrypt's.
	Directory string `yaml:"directory"`
	// CA is a PEM file with the authorities to trust for Directory. Empty: the
	// system's.
	CA string `yaml:"ca,file"`
	// EABKeyID and EABKeyFile bind the account to one that the authority knows.
	EABKeyID   string `yaml:"eab_key_id"`
	EABKeyFile string `yaml:"eab_key_file,file"`
	// Storage is the directory in which everything is kept.
	Storage string `yaml:"storage,file"`
	// Challenges are the ways to show whose host it is. Empty: tls-alpn-01, and
	// http-01 where there is a listener for it.
	Challenges []string `yaml:"challenges"`
}

const (
	http01    = "http-01"
	tlsALPN01 = "tls-alpn-01"
)

// tls returns nil when there is none.
func (b *builder) tls() *certificate.Config {
	c := &b.config.TLS
	out := &certificate.Config{ACME: b.acme()}
	for _, each := range c.Certificates {
		out.Files = append(out.Files, certificate.Pair{Cert: each.Cert, Key: each.Key})
	}
	if out.ACME == nil && len(out.Files) == 0 {
		return nil
	}
	return out
}

// acme returns nil when there is none.
func (b *builder) acme() *certificate.ACME {
	c := &b.config.TLS.ACME
	if !c.Enabled {
		for _, field := range []struct {
			key string
			set bool
		}{
			{"hosts", c.Hosts != nil},
			{"email", c.Email != ""},
			{"directory", c.Directory != ""},
			{"ca", c.CA != ""},
			{"eab_key_id", c.EABKeyID != ""},
			{"eab_key_file", c.EABKeyFile != ""},
			{"storage", c.Storage != ""},
			{"challenges", c.Challenges != nil},
		} {
			if field.set {
				b.fail("tls.acme."+field.key, "does nothing without ACME; set enabled (--acme) too, or leave this out")
			}
		}
		return nil
	}
	if c.Hosts == nil {
		c.Hosts = b.hostsForACME()
	}
	if c.Challenges == nil {
		c.Challenges = []string{tlsALPN01}
		if len(b.config.HTTPListen) > 0 {
			c.Challenges = []string{http01, tlsALPN01}
		}
	}
	without := func(challenge string) bool { return !slices.Contains(c.Challenges, challenge) }
	for _, challenge := range c.Challenges {
		if challenge != http01 && challenge != tlsALPN01 {
			b.fail("tls.acme.challenges", "%q is neither %s nor %s", challenge, http01, tlsALPN01)
			without = func(string) bool { return false } // that none is left would be a second problem
		}
	}
	if !without(http01) && len(b.config.HTTPListen) == 0 {
		b.warn("tls.acme.challenges", "%s cannot work here: it is answered at http_listen (--http-listen), to which port 80 of the host has to lead", http01)
	}
	for _, name := range []string{c.CA, c.EABKeyFile} {
		if name != "" {
			_, _, _ = b.files.open(name) // to be watched; whoever needs it reads it, and says what is wrong
		}
	}
	c.Storage = cmp.Or(c.Storage, certificate.DefaultStorage())
	return &certificate.ACME{
		Hosts:         c.Hosts,
		Email:         c.Email,
		Directory:     c.Directory,
		CAFile:        c.CA,
		EABKeyID:      c.EABKeyID,
		EABMACKeyFile: c.EABKeyFile,
		Storage:       c.Storage,
		NoHTTP01:      without(http01),
		NoTLSALPN01:   without(tlsALPN01),
	}
}

// hostsForACME are the names of the sites' hosts. A site without hosts has one by
// its proxy URL, if that is a whole one.
func (b *builder) hostsForACME() (names []string) {
	for _, site := range b.config.Sites {
		hosts := site.Hosts
		if u, err := url.Parse(site.ProxyURL); len(hosts) == 0 && err == nil && u.Host != "" {
			hosts = []string{u.Host}
		}
		for _, host := range hosts {
			name, ok := certificateName(host)
			_, notIP := netip.ParseAddr(strings.Trim(name, "[]"))
			switch {
			case !ok: // which is said of the site
			case strings.HasPrefix(name, "*"), notIP == nil: // they take a certificate in a file, and are warned of without
			case !slices.Contains(names, name):
				names = append(names, name)
			}
		}
	}
	return names
}

// certificateName is what a certificate calls the host of a site: without a port.
func certificateName(host string) (name string, ok bool) {
	entry, ok := forwarded.CanonicalHostEntry(host)
	if colon := strings.LastIndexByte(entry, ':'); colon >= 0 && !strings.HasSuffix(entry, "]") {
		entry = entry[:colon]
	}
	return entry, ok
}

// warnLacking tells of hosts that clients will find another certificate at.
func (b *builder) warnLacking(c *certificate.Config) {
	if c == nil {
		return
	}
	for i, site := range b.config.Sites {
		var names []string
		for _, host := range site.Hosts {
			name, _ := certificateName(host)
			names = append(names, name)
		}
		if lacking := c.Lacking(names); len(lacking) > 0 {
			b.warn(siteKey(i, "hosts"), "there is no certificate for %s: clients will refuse the one that they get", strings.Join(lacking, ", "))
		}
	}
}

// tlsKey is the key of what package certificate calls a field, or empty.
func tlsKey(field string) string {
	field, ok := strings.CutPrefix(field, "TLS.")
	if !ok {
		return ""
	}
	if file, ok := strings.CutPrefix(field, "Files"); ok {
		return "tls.certificates" + strings.ToLower(file)
	}
	key := map[string]string{
		"ACME.Hosts":         "hosts",
		"ACME.Email":         "email",
		"ACME.Directory":     "directory",
		"ACME.CAFile":        "ca",
		"ACME.EABKeyID":      "eab_key_id",
		"ACME.EABMACKeyFile": "eab_key_file",
		"ACME.Storage":       "storage",
		"ACME.NoHTTP01":      "challenges",
		"ACME.NoTLSALPN01":   "challenges",
	}[field]
	if key == "" {
		return ""
	}
	return "tls.acme." + key
}

// watchRejected takes note of the files of certificates that are no good, so that
// it is noticed when they are. Those that are in use are looked at by those who
// use them.
func (b *builder) watchRejected() {
	for i, each := range b.config.TLS.Certificates {
		rejected := func(p Problem) bool { return isWithin(p.Key, fmt.Sprintf("tls.certificates[%d]", i)) }
		if !slices.ContainsFunc(b.problems, rejected) {
			continue
		}
		for _, name := range []string{each.Cert, each.Key} {
			if name != "" {
				_, _, _ = b.files.open(name)
			}
		}
	}
}
