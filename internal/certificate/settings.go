package certificate

import (
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

// staging is short for Let's Encrypt's staging environment.
const staging = "staging"

// settings are an ACME section that has been checked, with what its files hold.
type settings struct {
	names         []string // in lower case
	email         string
	directory     string
	testDirectory string // of the same authority, to try again what failed; or empty
	roots         *x509.CertPool
	binding       *acme.EAB
	storage       certmagic.Storage
	storageDir    string // where it is
	http01        bool
	tlsALPN01     bool
	interval      time.Duration
}

func (a *ACME) check(makeStorage bool, found *problems) (*settings, []string) {
	s := &settings{
		email:     a.Email,
		http01:    !a.NoHTTP01,
		tlsALPN01: !a.NoTLSALPN01,
		interval:  cmp.Or(a.CheckInterval, certmagic.DefaultRenewCheckInterval),
	}
	s.checkDirectory(a.Directory, found)
	s.checkNames(a.Hosts, found)
	if s.email != "" {
		if address, err := mail.ParseAddress(s.email); err != nil || address.Address != s.email {
			found.add("ACME.Email", fmt.Sprintf("%q is not an e-mail address; write one such as ops@app.dev", s.email))
		}
	}
	if a.CAFile != "" {
		s.checkCAFile(a.CAFile, found)
	}
	if a.NoHTTP01 && a.NoTLSALPN01 {
		found.add("ACME.NoTLSALPN01", "is set along with NoHTTP01: no challenge is left; allow one of them")
	}
	if s.interval < 0 {
		found.add("ACME.CheckInterval", "is negative; leave it out for 10 minutes")
	}
	warnings := s.checkBinding(a, found)
	return s, append(warnings, s.checkStorage(cmp.Or(a.Storage, DefaultStorage()), makeStorage, found)...)
}

func (s *settings) checkDirectory(directory string, found *problems) {
	switch directory {
	case "":
		// What failed is tried again in the staging environment first, whose
		// limits are generous.
		s.directory, s.testDirectory = certmagic.LetsEncryptProductionCA, certmagic.LetsEncryptStagingCA
		return
	case staging:
		s.directory = certmagic.LetsEncryptStagingCA
		return
	}
	const write = "; write one such as https://ca.internal/acme/directory, or staging for Let's Encrypt's staging environment"
	s.directory = directory
	u, err := url.Parse(directory)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		found.add("ACME.Directory", fmt.Sprintf("%q is not an https URL"+write, directory))
	case u.User != nil: // not quoted: it holds a password
		found.add("ACME.Directory", "has credentials in it; an account of the authority's is bound with a key id and a MAC key")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		found.add("ACME.Directory", fmt.Sprintf("%q is plain http, over which anyone on the way can put in another authority"+write, directory))
	}
}

func (s *settings) checkNames(hosts []string, found *problems) {
	public := s.directory == certmagic.LetsEncryptProductionCA || s.directory == certmagic.LetsEncryptStagingCA
	if len(hosts) == 0 {
		found.add("ACME.Hosts", "is empty; name the hosts to have certificates for")
	}
	for _, host := range hosts {
		name := forwarded.CanonicalHost(host, "")
		_, notIP := netip.ParseAddr(name)
		switch {
		case strings.HasPrefix(host, "*"):
			found.add("ACME.Hosts", fmt.Sprintf("%q: wildcards take a challenge by DNS, which is not supported; name each host, or give a certificate in a file", host))
		case name == "" || strings.ContainsAny(name, ":_") || strings.HasSuffix(name, "."):
			found.add("ACME.Hosts", fmt.Sprintf("%q is not the name of a host; write one such as app.dev, without a port and an international one in its xn-- form", host))
		case notIP == nil:
			found.add("ACME.Hosts", fmt.Sprintf("%q is an address; write a host name", host))
		case public && !(certmagic.SubjectQualifiesForPublicCert(name) && strings.Contains(name, ".")):
			found.add("ACME.Hosts", fmt.Sprintf("%q is not a public name, so Let's Encrypt has no certificate for it; give one in a file, or the directory of an authority of your own", host))
		case !slices.Contains(s.names, name):
			s.names = append(s.names, name)
		}
	}
}

func (s *settings) checkCAFile(name string, found *problems) {
	content, _, err := readFile(name)
	if err != nil {
		found.add("ACME.CAFile", err.Error())
		return
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(content) {
		found.add("ACME.CAFile", name+" holds no certificate in PEM")
	}
}

// checkBinding reads the MAC key. Its problems do not quote it.
func (s *settings) checkBinding(a *ACME, found *problems) (warnings []string) {
	switch {
	case a.EABKeyID == "" && a.EABMACKeyFile == "":
		return nil
	case a.EABKeyID == "":
		found.add("ACME.EABKeyID", "is missing: the MAC key is of no use without the id that the authority gave it")
		return nil
	case a.EABMACKeyFile == "":
		found.add("ACME.EABMACKeyFile", "is missing: write the MAC key that the authority gave to a file, and name it")
		return nil
	}
	content, shared, err := readFile(a.EABMACKeyFile)
	if err != nil {
		found.add("ACME.EABMACKeyFile", err.Error())
		return nil
	}
	key := strings.TrimRight(strings.TrimSpace(string(content)), "=")
	if decoded, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(decoded) == 0 {
		found.add("ACME.EABMACKeyFile", a.EABMACKeyFile+" does not hold a MAC key in base64url; copy it as the authority gives it, and nothing else")
	}
	s.binding = &acme.EAB{KeyID: a.EABKeyID, MACKey: key}
	if shared {
		warnings = append(warnings, sharedKey(a.EABMACKeyFile))
	}
	return warnings
}

// checkStorage makes the directory, if it is told to, and writes to it once: a
// certificate that was issued and cannot be kept counts against the authority's
// limits. One that is not to be made yet has to be possible to make.
func (s *settings) checkStorage(directory string, make bool, found *problems) (warnings []string) {
	s.storage, s.storageDir = &certmagic.FileStorage{Path: directory}, directory
	fail := func(did string, err error) {
		found.add("ACME.Storage", fmt.Sprintf("%s cannot be %s: %v; give this program's user the directory, or name another", directory, did, bare(err)))
	}
	if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) && !make {
		if err := canMake(directory); err != nil {
			fail("made", err)
		}
		return nil
	}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		fail("made", err)
		return nil
	}
	probe, err := os.CreateTemp(directory, ".probe-*")
	if err != nil {
		fail("written to", err)
		return nil
	}
	probe.Close()
	os.Remove(probe.Name())
	if info, err := os.Stat(directory); err == nil && info.Mode().Perm()&0o002 != 0 {
		warnings = append(warnings, directory+" can be written to by every user of this machine, who can put in keys of theirs; chmod 700 it")
	}
	return warnings
}

// canMake makes a directory, and removes it again, where the one would be that is
// to be made.
func canMake(directory string) error {
	for {
		parent := filepath.Dir(directory)
		probe, err := os.MkdirTemp(parent, ".probe-*")
		if err == nil {
			return os.Remove(probe)
		}
		if !errors.Is(err, fs.ErrNotExist) || parent == directory {
			return err
		}
		directory = parent
	}
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
