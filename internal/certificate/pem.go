package certificate

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// parseChain reads the certificates in a file, or says what it holds instead.
func parseChain(name string, content []byte) (chain []*x509.Certificate, err error) {
	var other string // the type of what is no certificate
	for rest := content; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			if bytes.Contains(rest, []byte("-----BEGIN ")) {
				return nil, fmt.Errorf("%s is cut off or damaged after %d whole certificates; put it in anew", name, len(chain))
			}
			break
		}
		rest = after
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate number %d is damaged: %w", name, len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case strings.HasSuffix(other, "PRIVATE KEY"):
		return nil, fmt.Errorf("%s holds a key and no certificate; are the two files swapped?", name)
	case strings.HasSuffix(other, "CERTIFICATE REQUEST"):
		return nil, fmt.Errorf("%s holds a request for a certificate; put in the certificate that the authority made of it", name)
	case other == "PKCS7":
		return nil, fmt.Errorf("%s is PKCS #7; convert it with: openssl pkcs7 -print_certs -in %s -out chain.pem", name, name)
	case !isDER(content):
		return nil, fmt.Errorf("%s holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----", name)
	}
	if _, err := x509.ParseCertificates(content); err != nil {
		return nil, fmt.Errorf("%s is binary, not PEM; if it is PKCS #12 (.pfx or .p12), convert it with: openssl pkcs12 -nokeys -in %s -out chain.pem", name, name)
	}
	return nil, fmt.Errorf("%s is DER, not PEM; convert it with: openssl x509 -inform der -in %s -out chain.pem", name, name)
}

// parseKey reads the first key in a file, or says what it holds instead. Its
// errors hold nothing of it.
func parseKey(name string, content []byte) (crypto.Signer, error) {
	var other string // the type of what is no key
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			other = cmp.Or(other, block.Type)
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, fmt.Errorf("%s is encrypted, and nobody will be there to type its passphrase; decrypt it with: openssl pkey -in %s -out key.pem", name, name)
		}
		key, ok := decodeKey(block.Bytes)
		if !ok {
			return nil, fmt.Errorf("%s holds a damaged key, or one that is not for TLS; an RSA, ECDSA or Ed25519 key is", name)
		}
		return key, nil
	}
	switch {
	case other == "CERTIFICATE":
		return nil, fmt.Errorf("%s holds a certificate and no key; are the two files swapped?", name)
	case !isDER(content):
		return nil, fmt.Errorf("%s holds no whole key in PEM, which begins with -----BEGIN PRIVATE KEY-----", name)
	}
	if _, ok := decodeKey(content); !ok {
		return nil, fmt.Errorf("%s is binary, not PEM; if it is PKCS #12 (.pfx or .p12), convert it with: openssl pkcs12 -nodes -nocerts -in %s -out key.pem", name, name)
	}
	return nil, fmt.Errorf("%s is DER, not PEM; convert it with: openssl pkey -inform der -in %s -out key.pem", name, name)
}

// decodeKey reads PKCS #8, PKCS #1 (RSA) and SEC 1 (ECDSA).
func decodeKey(der []byte) (crypto.Signer, bool) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, ok := key.(crypto.Signer)
		return signer, ok
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, true
	}
	return nil, false
}

// isDER reports whether content begins as everything of X.509 does in binary.
func isDER(content []byte) bool { return len(content) > 0 && content[0] == 0x30 }
