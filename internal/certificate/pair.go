package certificate

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A pair is a certificate with its key, as files had it. It does not change.
type pair struct {
	Pair
	cert *tls.Certificate // its Leaf is set
	read digest           // of what cert was made of

	// What is in the files now, if it is something else that cannot be used.
	rejected digest
	failure  string // why; empty as long as the files may be half-written
}

// A digest tells contents of files apart. Zero: none.
type digest [sha256.Size]byte

// faults are what is wrong with either file of a pair.
type faults struct{ cert, key error }

func (f faults) any() bool { return f.cert != nil || f.key != nil }

// contents are what the files of a pair hold.
type contents struct {
	cert, key []byte
	sharedKey bool // every user may read the key
	faults
}

func (p Pair) contents() (c contents) {
	c.cert, _, c.faults.cert = readFile(p.Cert)
	c.key, c.sharedKey, c.faults.key = readFile(p.Key)
	return c
}

func (c contents) digest() digest {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %v %v", c.cert, c.key, c.faults.cert, c.faults.key))
}

// load is for a pair that must be right, the one at index i of Config.Files.
func (p Pair) load(i int, found *problems) (*pair, []string) {
	files := p.contents()
	if p.Cert == "" {
		files.faults.cert = errors.New("is missing: name the file of the certificate")
	}
	if p.Key == "" {
		files.faults.key = errors.New("is missing: name the file of the certificate's key")
	}
	cert, wrong := p.parse(files)
	if wrong.cert != nil {
		found.add(fmt.Sprintf("Files[%d].Cert", i), wrong.cert.Error())
	}
	if wrong.key != nil {
		found.add(fmt.Sprintf("Files[%d].Key", i), wrong.key.Error())
	}
	if cert == nil {
		return nil, nil
	}
	return &pair{Pair: p, cert: cert, read: files.digest()}, p.warnings(cert.Leaf, files)
}

// refresh looks at the files again. It returns p itself if there is nothing new.
// What cannot be used is rejected in silence when it is seen for the first time,
// since it may be half-written, and with the reason when it is still there the
// next time.
func (p *pair) refresh() (fresh *pair, warnings []string) {
	files := p.contents()
	read := files.digest()
	switch {
	case read == p.read && p.rejected == digest{}, read == p.rejected && p.failure != "":
		return p, nil
	case read == p.read:
		return &pair{Pair: p.Pair, cert: p.cert, read: p.read}, nil
	}
	cert, wrong := p.parse(files)
	if cert != nil {
		return &pair{Pair: p.Pair, cert: cert, read: read}, p.warnings(cert.Leaf, files)
	}
	fresh = &pair{Pair: p.Pair, cert: p.cert, read: p.read, rejected: read}
	if read == p.rejected {
		fresh.failure = strings.ReplaceAll(errors.Join(wrong.cert, wrong.key).Error(), "\n", "; ")
	}
	return fresh, nil
}

// parse makes a certificate of what the files hold, or says what is wrong.
func (p Pair) parse(files contents) (*tls.Certificate, faults) {
	var chain []*x509.Certificate
	var key crypto.Signer
	wrong := files.faults
	if wrong.cert == nil {
		chain, wrong.cert = parseChain(p.Cert, files.cert)
	}
	if wrong.key == nil {
		key, wrong.key = parseKey(p.Key, files.key)
	}
	if wrong.any() {
		return nil, wrong
	}

	own := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return isKeyOf(key, c) })
	switch {
	case own < 0:
		wrong.key = fmt.Errorf("%s is not the key of the certificate in %s; put in place the two that were made together", p.Key, p.Cert)
	case own > 0:
		wrong.cert = fmt.Errorf("%s is in the wrong order: the server's own certificate is number %d; put it first, each followed by its issuer's", p.Cert, own+1)
	default:
		wrong.cert = checkChain(p.Cert, chain)
	}
	if wrong.any() {
		return nil, wrong
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, each := range chain {
		cert.Certificate = append(cert.Certificate, each.Raw)
	}
	return cert, faults{}
}

// checkChain finds what clients would trip over.
func checkChain(name string, chain []*x509.Certificate) error {
	leaf := chain[0]
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		return fmt.Errorf("%s names no host: clients look at subject alternative names only; have it made with those", name)
	}
	for i, cert := range chain {
		issuer := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return c != cert && issued(c, cert) })
		switch {
		case isSelfSigned(cert) || i+1 < len(chain) && issued(chain[i+1], cert):
		case issuer >= 0:
			return fmt.Errorf("%s is in the wrong order: number %d was issued by number %d; put each after the one that it issued", name, i+1, issuer+1)
		case i == 0 && len(leaf.IssuingCertificateURL) > 0:
			// The certificate says where its issuer's is to be had, for those who
			// have not got it: a client that does not look there would refuse it.
			return fmt.Errorf("%s lacks the certificate of its issuer, %s; append it (authorities call such a file the full chain)", name, leaf.Issuer)
		}
	}
	return nil
}

// issued reports whether one certificate names the other as its issuer.
func issued(issuer, cert *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, cert.RawIssuer) {
		return false
	}
	return len(cert.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(issuer.SubjectKeyId, cert.AuthorityKeyId)
}

func isSelfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawSubject, cert.RawIssuer)
}

func isKeyOf(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// warnings are what does not keep a pair from being used.
func (p Pair) warnings(leaf *x509.Certificate, files contents) (warnings []string) {
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		warnings = append(warnings, fmt.Sprintf("%s expired on %s: clients refuse it; put in a new one", p.Cert, leaf.NotAfter.UTC().Format(time.RFC3339)))
	case now.Before(leaf.NotBefore):
		warnings = append(warnings, fmt.Sprintf("%s is not valid before %s: clients refuse it until then; is this machine's clock right?", p.Cert, leaf.NotBefore.UTC().Format(time.RFC3339)))
	}
	if files.sharedKey {
		warnings = append(warnings, sharedKey(p.Key))
	}
	return warnings
}
