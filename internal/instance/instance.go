// Package instance tells what a Clerk instance's keys say about it: whether it
// is a production or a development instance, where its Frontend API is, and
// which suffix its cookies carry.
package instance

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"strings"
)

// Errors of [ParsePublishableKey] and [ParseSecretKey]. None holds the key.
var (
	ErrPublishableKey = errors.New("not a publishable key: it is pk_live_ or pk_test_ followed by the base64 of the Frontend API's host and a dollar sign")
	ErrSecretKey      = errors.New("not a secret key: it begins with sk_live_ or sk_test_")
	ErrMismatch       = errors.New("the publishable key and the secret key are not of one instance: one is live, the other is test")
)

// The Frontend API origins that [Instance.FrontendAPIURL] chooses among.
const (
	productionFrontendAPI = "https://frontend-api.clerk.dev"
	stagingFrontendAPI    = "https://frontend-api.clerkstage.dev"
	localFrontendAPI      = "https://frontend-api.lclclerk.com"
)

// Instance is what a publishable key says.
type Instance struct {
	// PublishableKey is the key itself, public by design.
	PublishableKey string
	// FrontendAPI is the host in the key, such as clerk.app.dev.
	FrontendAPI string
	// Live is true for a production instance (pk_live_), false for a
	// development one (pk_test_).
	Live bool
}

// ParsePublishableKey decodes a publishable key. The base64 padding may be
// missing. The error is [ErrPublishableKey].
func ParsePublishableKey(key string) (Instance, error) {
	encoded, live := strings.CutPrefix(key, "pk_live_")
	if !live {
		var test bool
		if encoded, test = strings.CutPrefix(key, "pk_test_"); !test {
			return Instance{}, ErrPublishableKey
		}
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil {
		return Instance{}, ErrPublishableKey
	}
	host, ok := strings.CutSuffix(string(decoded), "$")
	if !ok || !plausibleHost(host) {
		return Instance{}, ErrPublishableKey
	}
	return Instance{PublishableKey: key, FrontendAPI: host, Live: live}, nil
}

// plausibleHost reports whether host can stand in a URL as its authority: the
// key is configuration, but what it decodes to ends up in URLs and pages.
func plausibleHost(host string) bool {
	if !strings.Contains(host, ".") || strings.HasPrefix(host, ".") {
		return false
	}
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_', c == ':':
		default:
			return false
		}
	}
	return true
}

// PublishableKey is the inverse of [ParsePublishableKey]: the key of the
// instance whose Frontend API is at host.
func PublishableKey(host string, live bool) string {
	prefix := "pk_test_"
	if live {
		prefix = "pk_live_"
	}
	return prefix + base64.RawStdEncoding.EncodeToString([]byte(host+"$"))
}

// ParseSecretKey reports whether a secret key is of a production instance. The
// error is [ErrSecretKey].
func ParseSecretKey(key string) (live bool, err error) {
	rest, live := strings.CutPrefix(key, "sk_live_")
	if !live {
		var test bool
		if rest, test = strings.CutPrefix(key, "sk_test_"); !test {
			return false, ErrSecretKey
		}
	}
	if rest == "" || strings.ContainsFunc(rest, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return false, ErrSecretKey
	}
	return live, nil
}

// FrontendAPIURL is the origin that requests to the instance's Frontend API are
// forwarded to. It is not the host in the key: that one needs the DNS records
// that a proxy does without.
func (i Instance) FrontendAPIURL() string {
	host := i.FrontendAPI
	hasSuffix := func(suffixes ...string) bool {
		for _, s := range suffixes {
			if strings.HasSuffix(host, s) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasPrefix(host, "clerk.") && hasSuffix(".lcl.dev", ".lclstage.dev", ".lclclerk.com"):
		return productionFrontendAPI
	case hasSuffix(".lcl.dev", "lclstage.dev", ".lclclerk.com"):
		return localFrontendAPI
	case hasSuffix(".accountsstage.dev"):
		return stagingFrontendAPI
	default:
		return productionFrontendAPI
	}
}

// CookieSuffix is what Clerk appends to cookie names after an underscore, so
// that several instances can share a domain: the first eight characters of
// base64url(SHA-1(publishable key)).
func (i Instance) CookieSuffix() string {
	sum := sha1.Sum([]byte(i.PublishableKey))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:8]
}
