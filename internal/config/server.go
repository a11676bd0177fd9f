package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/instance"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// minWatchInterval keeps a process from doing nothing but reading its files.
const minWatchInterval = 10 * time.Millisecond

// A builder makes the server's configuration of a Config, and notes what is wrong
// or doubtful.
type builder struct {
	config   *Config
	files    *Files
	getenv   func(string) string
	problems []Problem
	failed   map[string]bool // the keys of problems
	warnings []Problem
}

func (b *builder) fail(key, format string, args ...any) {
	b.problems = append(b.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
	b.failed[key] = true
}

func (b *builder) warn(key, format string, args ...any) {
	b.warnings = append(b.warnings, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// server returns what the Config means. It fills in what the Config leaves to
// others to know, so that it shows what is in effect. Whatever the server checks
// itself is left to it, see explain.
func (b *builder) server() server.Config {
	c := b.config
	out := server.Config{
		Listen:         c.Listen,
		TLS:            b.tls(),
		HTTPListen:     c.HTTPListen,
		HSTS:           c.TLS.HSTS,
		HTTP3:          c.HTTP3,
		ClientIPHeader: c.ClientIPHeader,
		DrainDelay:     c.DrainDelay,
		DrainTimeout:   c.DrainTimeout,
	}
	var err error
	var everyone string
	if out.TrustedProxies, everyone, err = parseTrustedProxies(c.TrustedProxies); err != nil {
		b.fail("trusted_proxies", "%v", err)
	}
	if everyone != "" {
		b.warn("trusted_proxies", "%s trusts everyone: clients can choose the address that Clerk is told", everyone)
	}
	cache, err := parseSize(c.AssetCache)
	if err != nil {
		b.fail("asset_cache", "%v", err)
	}
	if c.DrainTimeout <= 0 {
		b.fail("drain_timeout", "%s is too short; write a time such as 10s", c.DrainTimeout)
	}
	if c.DrainDelay < 0 {
		b.fail("drain_delay", "%s is negative; write a time such as 5s, or 0 for none", c.DrainDelay)
	}
	if c.WatchInterval < 0 || c.WatchInterval > 0 && c.WatchInterval < minWatchInterval {
		b.fail("watch_interval", "%s is too short; write a time such as 1s, or 0 for never", c.WatchInterval)
	}
	for _, p := range c.Admin.Problems() {
		b.fail("admin."+p.Key, "%s", p.Text)
	}
	if own := slices.Concat(c.Listen, c.HTTPListen); slices.Contains(own, c.Admin.Listen) && !strings.HasSuffix(c.Admin.Listen, ":0") {
		b.fail("admin.listen", "is an address that the server itself listens on; choose another port")
	}
	for _, p := range c.Log.Problems() {
		b.fail("log."+p.Key, "%s", p.Text)
	}
	for i := range c.Sites {
		site := b.site(i)
		site.Proxy.AssetCache = cache
		out.Sites = append(out.Sites, site)
	}
	return out
}

func (b *builder) site(i int) server.Site {
	c := &b.config.Sites[i]
	fail := func(field, format string, args ...any) { b.fail(siteKey(i, field), format, args...) }

	inst, err := instance.ParsePublishableKey(c.PublishableKey)
	switch {
	case err != nil || inst.Live:
	case !c.AllowDevelopment:
		fail("publishable_key", "is that of a development instance (pk_test_), and Clerk proxies production instances only; "+
			"use the production instance's keys (pk_live_), or set allow_development (--allow-development) to serve the application without the proxy")
	case c.App == "":
		fail("app", "is missing; with a development instance's keys the proxy is off, and there is nothing else to serve")
	}
	if c.FrontendAPIURL == "" && err == nil {
		c.FrontendAPIURL = inst.FrontendAPIURL()
	}
	if len(c.Hosts) == 0 && strings.HasPrefix(c.ProxyURL, "/") {
		b.warn(siteKey(i, "hosts"), "is not set: every Host is accepted, and Clerk is told a proxy URL made of it, whoever invented it; "+
			"name your hosts, such as app.dev, or give the whole proxy URL, https://app.dev%s", c.ProxyURL)
	}

	site := server.Site{
		Name:       c.Name,
		Hosts:      c.Hosts,
		AppTimeout: cmp.Or(c.AppTimeout, -1),
		Proxy: clerkproxy.Config{
			PublishableKey: c.PublishableKey,
			SecretKey:      b.secretKey(i),
			ProxyURL:       c.ProxyURL,
			FrontendAPIURL: c.FrontendAPIURL,
		},
		Authentication: b.authentication(i),
	}
	c.Name = site.NameOrDefault()
	if c.App != "" {
		if site.AppURL, err = parseAppURL(c.App); err != nil {
			fail("app", "%v", err)
		}
	}
	if c.AppTimeout < 0 {
		fail("app_timeout", "%s is negative; 0 means for ever", c.AppTimeout)
	}
	if c.FrontendAPICA != "" {
		content, _, err := b.files.open(c.FrontendAPICA)
		if err == nil {
			site.Proxy.RootCAs, err = parseCertificates(content)
		}
		if err != nil {
			fail("frontend_api_ca", "%s %v", c.FrontendAPICA, err)
		}
	}
	return site
}

// secretKey returns a site's key from its file or variable. It takes no sides
// when there are two: the wrong one would be noticed late.
func (b *builder) secretKey(i int) string {
	c := &b.config.Sites[i]
	fileKey, envKey := siteKey(i, "secret_key_file"), siteKey(i, "secret_key_env")
	switch {
	case c.SecretKeyFile != "" && c.SecretKeyEnv != "":
		b.fail(fileKey, "is set along with %s; leave one of them out", c.SecretKeyEnv)
	case c.SecretKeyFile != "":
		content, mode, err := b.files.open(c.SecretKeyFile)
		key := ""
		if err == nil {
			key, err = parseSecretKey(content)
		}
		if err != nil {
			b.fail(fileKey, "%s %v", c.SecretKeyFile, err)
		} else if isWorldReadable(mode) {
			b.warn(fileKey, "every user of this machine can read the secret key in %[1]s; type: chmod 600 %[1]s", c.SecretKeyFile)
		}
		return key
	case c.SecretKeyEnv != "":
		key := b.getenv(c.SecretKeyEnv)
		if key == "" {
			b.fail(envKey, "the variable %s is not set; copy the secret key from the Clerk Dashboard, page API keys", c.SecretKeyEnv)
		}
		return key
	default:
		b.fail(fileKey, "is missing; name a file that holds the secret key, or an environment variable with secret_key_env")
	}
	return ""
}

// authentication returns nil when the site has none.
func (b *builder) authentication(i int) *server.Authentication {
	c := &b.config.Sites[i]
	if !c.Authenticate {
		for _, field := range []struct {
			key string
			set bool
		}{
			{"satellite", c.Satellite},
			{"sign_in_url", c.SignInURL != ""},
			{"sign_up_url", c.SignUpURL != ""},
			{"authorized_parties", c.AuthorizedParties != nil},
			{"backend_api_url", c.BackendAPIURL != ""},
		} {
			if field.set {
				b.fail(siteKey(i, field.key), "does nothing without authenticate; set that to true too, or leave this out")
			}
		}
		return nil
	}
	if c.App == "" {
		b.fail(siteKey(i, "authenticate"), "does nothing without an application to tell; set app too, or leave this out")
	}
	for _, party := range c.AuthorizedParties {
		if !isOrigin(party) {
			b.fail(siteKey(i, "authorized_parties"), "%q is not an origin; write one such as https://app.dev", party)
		}
	}
	c.BackendAPIURL = cmp.Or(c.BackendAPIURL, "https://api.clerk.com")
	return &server.Authentication{
		IsSatellite:       c.Satellite,
		SignInURL:         c.SignInURL,
		SignUpURL:         c.SignUpURL,
		AuthorizedParties: c.AuthorizedParties,
		BackendAPIURL:     c.BackendAPIURL,
	}
}

// keyOf are the keys of what the server names in its errors.
var keyOf = map[string]string{
	"Listen":         "listen",
	"HTTPListen":     "http_listen",
	"HSTS":           "tls.hsts",
	"HTTP3":          "http3",
	"Sites":          "sites",
	"TrustedProxies": "trusted_proxies",
	"ClientIPHeader": "client_ip_header",
	"Name":           "name",
	"Hosts":          "hosts",
	"AppURL":         "app",
	"PublishableKey": "publishable_key",
	"ProxyURL":       "proxy_url",
	"FrontendAPIURL": "frontend_api_url",
	"IsSatellite":    "satellite",
	"SignInURL":      "sign_in_url",
	"SignUpURL":      "sign_up_url",
	"BackendAPIURL":  "backend_api_url",
}

// explain turns the errors of the server into problems with keys.
func (b *builder) explain(err error) {
	for _, each := range server.Problems(err) {
		p := Problem{Text: each.Error()}
		e, isConfig := errors.AsType[*clerkproxy.ConfigError](each)
		of, isSite := errors.AsType[*server.SiteError](each)
		switch {
		case isSite && isConfig && e.Field == "SecretKey":
			if b.secretKeyFailed(of.Site) {
				continue // that a key is missing which could not be read, goes without saying
			}
			p = Problem{Key: b.secretKeyKey(of.Site), Text: e.Problem}
		case isSite && isConfig && keyOf[e.Field] != "":
			p = Problem{Key: siteKey(of.Site, keyOf[e.Field]), Text: e.Problem}
		case isSite:
			p = Problem{Key: fmt.Sprintf("sites[%d]", of.Site), Text: of.Err.Error()}
		case isConfig && keyOf[e.Field] != "":
			p = Problem{Key: keyOf[e.Field], Text: e.Problem}
		case isConfig && tlsKey(e.Field) != "":
			p = Problem{Key: tlsKey(e.Field), Text: e.Problem}
		}
		b.problems = append(b.problems, p)
	}
}

// secretKeyKey is the key that says where a site's secret key is.
func (b *builder) secretKeyKey(i int) string {
	if b.config.Sites[i].SecretKeyFile != "" {
		return siteKey(i, "secret_key_file")
	}
	return siteKey(i, "secret_key_env")
}

func (b *builder) secretKeyFailed(i int) bool {
	return b.failed[siteKey(i, "secret_key_file")] || b.failed[siteKey(i, "secret_key_env")]
}
