package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

// settings are the flags of a command that is configured as serve is.
type settings struct {
	flags    *pflag.FlagSet
	file     string
	handover string
	config   config.Config // as the flags say, with one site

	certs, keys []string // of config.TLS.Certificates
}

// keyOfFlag are the keys that flags stand for. Those of sites[0] are not for use
// with a configuration file, which has sites of its own.
var keyOfFlag = map[string]string{
	"listen":             "listen",
	"http-listen":        "http_listen",
	"tls-cert":           "tls.certificates",
	"tls-key":            "tls.certificates",
	"acme":               "tls.acme.enabled",
	"acme-host":          "tls.acme.hosts",
	"acme-email":         "tls.acme.email",
	"acme-directory":     "tls.acme.directory",
	"acme-ca":            "tls.acme.ca",
	"acme-eab-key-id":    "tls.acme.eab_key_id",
	"acme-eab-key-file":  "tls.acme.eab_key_file",
	"acme-storage":       "tls.acme.storage",
	"acme-challenges":    "tls.acme.challenges",
	"hsts":               "tls.hsts",
	"http3":              "http3",
	"app":                "sites[0].app",
	"proxy-url":          "sites[0].proxy_url",
	"host":               "sites[0].hosts",
	"publishable-key":    "sites[0].publishable_key",
	"secret-key-file":    "sites[0].secret_key_file",
	"trusted-proxies":    "trusted_proxies",
	"client-ip-header":   "client_ip_header",
	"fapi-url":           "sites[0].frontend_api_url",
	"fapi-ca":            "sites[0].frontend_api_ca",
	"asset-cache":        "asset_cache",
	"authenticate":       "sites[0].authenticate",
	"satellite":          "sites[0].satellite",
	"sign-in-url":        "sites[0].sign_in_url",
	"sign-up-url":        "sites[0].sign_up_url",
	"authorized-parties": "sites[0].authorized_parties",
	"api-url":            "sites[0].backend_api_url",
	"app-timeout":        "sites[0].app_timeout",
	"drain-delay":        "drain_delay",
	"drain-timeout":      "drain_timeout",
	"watch-interval":     "watch_interval",
	"allow-development":  "sites[0].allow_development",
	"admin-listen":       "admin.listen",
	"admin-pprof":        "admin.pprof",
	"log-format":         "log.format",
	"log-level":          "log.level",
}

// ofAuthentication are the flags that mean something with --authenticate only.
// Their variables are Clerk's, and may be there for the application's sake.
var ofAuthentication = []string{"satellite", "sign-in-url", "sign-up-url", "authorized-parties", "api-url"}

func isOfSite(flag string) bool { return strings.HasPrefix(keyOfFlag[flag], "sites[0].") }

func (s *settings) add(flags *pflag.FlagSet) {
	s.flags = flags
	s.config = config.Default()
	s.config.Sites = []config.Site{config.DefaultSite()}
	c, site := &s.config, &s.config.Sites[0]

	flags.SortFlags = false
	flags.StringVar(&s.file, "config", "", "YAML `file` with the configuration, for several sites; flags that are not about a site go before it")
	flags.StringSliceVar(&c.Listen, "listen", c.Listen, "`host:port` to listen on; without a host, on all interfaces; repeat it for more")
	flags.StringVar(&site.App, "app", "", "`URL` of the application; without one, other requests get 404")
	flags.StringVar(&site.ProxyURL, "proxy-url", site.ProxyURL, "`path` or public URL of the proxy")
	flags.StringSliceVar(&site.Hosts, "host", nil, "public `host` that is accepted, such as app.dev or *.app.dev; repeat it for more (default all)")
	flags.StringVar(&site.PublishableKey, "publishable-key", "", "the instance's publishable `key`, pk_live_…")
	flags.StringVar(&site.SecretKeyFile, "secret-key-file", "", "`file` that holds the secret key, instead of CLERK_SECRET_KEY")
	flags.StringSliceVar(&c.TrustedProxies, "trusted-proxies", nil, "`addresses` or ranges of the proxies in front, separated by commas, or none (default loopback and private ones)")
	flags.StringVar(&c.ClientIPHeader, "client-ip-header", "", "`header` in which the proxy in front gives the client's address, such as CF-Connecting-IP (default X-Forwarded-For)")
	flags.StringVar(&site.FrontendAPIURL, "fapi-url", "", "`URL` of the Frontend API (default that of the publishable key's instance)")
	flags.StringVar(&site.FrontendAPICA, "fapi-ca", "", "PEM `file` with the authorities to trust for the Frontend API (default the system's)")
	flags.StringVar(&c.AssetCache, "asset-cache", c.AssetCache, "`size` of the memory that keeps Clerk's scripts, such as 64MiB; 0 for none")
	flags.BoolVar(&site.Authenticate, "authenticate", false, "tell the application who is signed in, by request headers such as X-Clerk-User-Id")
	flags.BoolVar(&site.Satellite, "satellite", false, "the site is a satellite domain; with --authenticate")
	flags.StringVar(&site.SignInURL, "sign-in-url", "", "`URL` or path of the sign-in page; with --authenticate (default Clerk's account portal)")
	flags.StringVar(&site.SignUpURL, "sign-up-url", "", "`URL` or path of the sign-up page; with --authenticate (default Clerk's account portal)")
	flags.StringSliceVar(&site.AuthorizedParties, "authorized-parties", nil, "`origins` whose session tokens are accepted, separated by commas; with --authenticate (default all)")
	flags.StringVar(&site.BackendAPIURL, "api-url", "", "`URL` of the Backend API; with --authenticate (default Clerk's)")
	flags.StringSliceVar(&s.certs, "tls-cert", nil, "PEM `file` with a certificate and its chain: speak HTTPS at --listen; repeat it for more")
	flags.StringSliceVar(&s.keys, "tls-key", nil, "PEM `file` with the key of the certificate in the same place")
	acme := &c.TLS.ACME
	flags.BoolVar(&acme.Enabled, "acme", false, "have an authority issue the certificates, by ACME; using it means agreeing to its terms")
	flags.StringSliceVar(&acme.Hosts, "acme-host", nil, "`host` to have a certificate for; repeat it for more (default those of --host)")
	flags.StringVar(&acme.Email, "acme-email", "", "e-mail `address` that the authority writes to about the account")
	flags.StringVar(&acme.Directory, "acme-directory", "", "`URL` of the authority's directory, or staging (default Let's Encrypt's)")
	flags.StringVar(&acme.CA, "acme-ca", "", "PEM `file` with the authorities to trust for that URL (default the system's)")
	flags.StringVar(&acme.EABKeyID, "acme-eab-key-id", "", "`id` of the key by which the authority knows you (external account binding)")
	flags.StringVar(&acme.EABKeyFile, "acme-eab-key-file", "", "`file` that holds that key, in base64url")
	flags.StringVar(&acme.Storage, "acme-storage", "", "`directory` for accounts, keys and certificates (default clerk-proxy in $XDG_DATA_HOME or /var/lib)")
	flags.StringSliceVar(&acme.Challenges, "acme-challenges", nil, "`challenges` that can work: http-01, tls-alpn-01 or both (default tls-alpn-01, and http-01 with --http-listen)")
	flags.StringSliceVar(&c.HTTPListen, "http-listen", nil, "`host:port` for plain HTTP, which is redirected to HTTPS; repeat it for more")
	flags.BoolVar(&c.HTTP3, "http3", false, "speak HTTP/3 as well wherever HTTPS is spoken, over UDP at the same port")
	flags.DurationVar(&c.TLS.HSTS, "hsts", 0, "how long browsers are to use nothing but HTTPS, such as 8760h (Strict-Transport-Security); 0 to tell them nothing")
	flags.DurationVar(&site.AppTimeout, "app-timeout", site.AppTimeout, "how long the application may take to begin its answer; 0 for ever")
	flags.DurationVar(&c.DrainTimeout, "drain-timeout", c.DrainTimeout, "how long requests under way may take to end after a signal")
	flags.DurationVar(&c.DrainDelay, "drain-delay", 0, "how long to go on accepting connections after a signal, for load balancers that have to notice")
	flags.DurationVar(&c.WatchInterval, "watch-interval", c.WatchInterval, "how often to look whether the configuration's files have changed; 0 for never")
	flags.StringVar(&s.handover, "handover", "", "`path` of a socket at which to take over from the process that serves, and to be taken over from")
	flags.BoolVar(&site.AllowDevelopment, "allow-development", false, "with a development instance's keys, serve the application without the proxy")
	flags.StringVar(&c.Admin.Listen, "admin-listen", c.Admin.Listen, "`host:port` of the status page, health and metrics, or off; whoever can reach it can see them")
	flags.BoolVar(&c.Admin.Pprof, "admin-pprof", false, "serve profiles of the process there too, in which there may be secrets")
	addLogFlags(flags, &c.Log)
	variables := instanceVariables()
	variables["satellite"] = []string{"CLERK_IS_SATELLITE"}
	variables["sign-in-url"] = []string{"CLERK_SIGN_IN_URL", "NEXT_PUBLIC_CLERK_SIGN_IN_URL"}
	variables["sign-up-url"] = []string{"CLERK_SIGN_UP_URL", "NEXT_PUBLIC_CLERK_SIGN_UP_URL"}
	fromEnvironment(flags, variables)
}

// source reads the environment and tells where the configuration comes from. What
// is wrong with flags and variables by themselves are problems. With a file,
// Clerk's variables are about something else: they are unused, and forgotten.
func (s *settings) source() (source *config.Source, unused []string, problems []error) {
	problems = readEnvironment(s.flags)
	s.pairCertificates()
	source = &config.Source{File: s.file, FlagOf: s.flagOf, Getenv: os.Getenv}
	if s.file != "" {
		unused, siteFlags := s.besideFile(source)
		source.Flags = s.config
		source.Getenv = environmentNow()
		problems = append(problems, siteFlags...)
		if err := forgetClerk(); err != nil {
			problems = append(problems, err)
		}
		return source, unused, problems
	}
	site := &s.config.Sites[0]
	if site.SecretKeyFile == "" || os.Getenv("CLERK_SECRET_KEY") != "" {
		site.SecretKeyEnv = "CLERK_SECRET_KEY"
	}
	if !site.Authenticate {
		for _, name := range ofAuthentication {
			if f := s.flags.Lookup(name); variableOf(f) != "" {
				reset(f)
			}
		}
	}
	source.Flags = s.config
	return source, nil, problems
}

// pairCertificates takes together the flags that make a certificate. One that has
// no counterpart is told by whoever needs both.
func (s *settings) pairCertificates() {
	pairs := make([]config.Certificate, max(len(s.certs), len(s.keys)))
	for i, cert := range s.certs {
		pairs[i].Cert = cert
	}
	for i, key := range s.keys {
		pairs[i].Key = key
	}
	if len(pairs) > 0 {
		s.config.TLS.Certificates = pairs
	}
}

// besideFile tells which flags go before the file, and refuses those that are
// about a site: the file says everything about those. Variables that are, may be
// there for others; it returns their names.
func (s *settings) besideFile(source *config.Source) (unused []string, problems []error) {
	s.flags.VisitAll(func(f *pflag.Flag) {
		key := keyOfFlag[f.Name]
		switch variable := variableOf(f); {
		case key == "" || !f.Changed && variable == "":
		case !isOfSite(f.Name):
			source.Given = append(source.Given, key)
		case variable != "":
			unused = append(unused, variable)
		default:
			_, key, _ := strings.Cut(key, ".")
			problems = append(problems, fmt.Errorf("--%s: is for one site without --config; write %s below sites in %s", f.Name, key, s.file))
		}
	})
	return unused, problems
}

// environmentNow keeps the environment as it is.
func environmentNow() func(string) string {
	variables := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	return func(name string) string { return variables[name] }
}

// flagOf begins a problem with the flag of the key that has it, if there is one.
func (s *settings) flagOf(key string) string {
	if key == "sites[0].secret_key_env" {
		return "CLERK_SECRET_KEY (or --secret-key-file): "
	}
	if isCertificate := strings.HasPrefix(key, "tls.certificates"); isCertificate && strings.HasSuffix(key, ".key") {
		return called(s.flags.Lookup("tls-key")) + ": "
	} else if isCertificate {
		return called(s.flags.Lookup("tls-cert")) + ": "
	}
	for flag, k := range keyOfFlag {
		if k == key {
			return called(s.flags.Lookup(flag)) + ": "
		}
	}
	return ""
}
