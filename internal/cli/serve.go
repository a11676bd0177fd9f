package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/instance"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

type serveCommand struct {
	flags *pflag.FlagSet

	listen           string
	app              string
	proxyURL         string
	hosts            []string
	publishableKey   string
	secretKeyFile    string
	trustedProxies   []string
	clientIPHeader   string
	fapiURL          string
	fapiCA           string
	assetCache       string
	appTimeout       time.Duration
	drainTimeout     time.Duration
	allowDevelopment bool
	log              logFlags
}

func newServeCommand() *cobra.Command {
	var c serveCommand
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve Clerk's Frontend API in front of an application",
		Long: `Serve forwards requests under the proxy's path to Clerk's Frontend API, and all
others to the application. It needs the keys of a production instance: the
publishable key, and the secret key in CLERK_SECRET_KEY or in a file. The secret
key is not taken from the command line, where others could read it.

Each flag can be set by the environment variable in brackets instead; the flag
goes first. NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY and NEXT_PUBLIC_CLERK_PROXY_URL work
too.

It speaks plain HTTP, and listens on this machine only: what does TLS is in front
of it. In a container, or with a proxy on another machine in front, say --listen
:8080. Peers with loopback and private addresses are believed about whom they
forward for; if others than your proxies have such addresses, name your proxies
with --trusted-proxies.

SIGTERM and SIGINT end it once the requests under way have ended; a second one
ends it at once.`,
		Example: `  clerk-proxy serve --app http://localhost:3000 --host app.dev
  clerk-proxy serve --listen :8080 --app http://app:3000 --proxy-url https://app.dev/__clerk
  clerk-proxy serve --app http://localhost:3000 --host app.dev \
      --trusted-proxies 127.0.0.1 --client-ip-header CF-Connecting-IP`,
		Args: noArguments,
		RunE: c.run,
	}

	c.flags = cmd.Flags()
	c.flags.SortFlags = false
	c.flags.StringVar(&c.listen, "listen", server.DefaultListen, "`host:port` to listen on; without a host, on all interfaces")
	c.flags.StringVar(&c.app, "app", "", "`URL` of the application; without one, other requests get 404")
	c.flags.StringVar(&c.proxyURL, "proxy-url", clerkproxy.DefaultPath, "`path` or public URL of the proxy")
	c.flags.StringSliceVar(&c.hosts, "host", nil, "public `host` that is accepted, such as app.dev or *.app.dev; repeat it for more (default all)")
	c.flags.StringVar(&c.publishableKey, "publishable-key", "", "the instance's publishable `key`, pk_live_…")
	c.flags.StringVar(&c.secretKeyFile, "secret-key-file", "", "`file` that holds the secret key, instead of CLERK_SECRET_KEY")
	c.flags.StringSliceVar(&c.trustedProxies, "trusted-proxies", nil, "`addresses` or ranges of the proxies in front, separated by commas, or none (default loopback and private ones)")
	c.flags.StringVar(&c.clientIPHeader, "client-ip-header", "", "`header` in which the proxy in front gives the client's address, such as CF-Connecting-IP (default X-Forwarded-For)")
	c.flags.StringVar(&c.fapiURL, "fapi-url", "", "`URL` of the Frontend API (default that of the publishable key's instance)")
	c.flags.StringVar(&c.fapiCA, "fapi-ca", "", "PEM `file` with the authorities to trust for the Frontend API (default the system's)")
	c.flags.StringVar(&c.assetCache, "asset-cache", "64MiB", "`size` of the memory that keeps Clerk's scripts, such as 64MiB; 0 for none")
	c.flags.DurationVar(&c.appTimeout, "app-timeout", server.DefaultAppTimeout, "how long the application may take to begin its answer; 0 for ever")
	c.flags.DurationVar(&c.drainTimeout, "drain-timeout", server.DefaultDrainTimeout, "how long requests under way may take to end after a signal")
	c.flags.BoolVar(&c.allowDevelopment, "allow-development", false, "with a development instance's keys, serve the application without the proxy")
	c.log.add(c.flags)
	fromEnvironment(c.flags, map[string][]string{
		"publishable-key": {"CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"},
		"secret-key-file": {"CLERK_SECRET_KEY_FILE"},
		"proxy-url":       {"CLERK_PROXY_URL", "NEXT_PUBLIC_CLERK_PROXY_URL"},
		"fapi-url":        {"CLERK_FAPI_URL"},
	})
	return cmd
}

func (c *serveCommand) run(cmd *cobra.Command, _ []string) error {
	problems := readEnvironment(c.flags)
	log, logProblems := c.log.logger(c.flags, cmd.ErrOrStderr())
	problems = append(problems, logProblems...)
	config, warnings, configProblems := c.config()
	problems = append(problems, configProblems...)

	config.Logger = log
	if len(problems) > 0 {
		config.Logger = slog.New(slog.DiscardHandler) // New is asked for further problems only
	}
	config.OnListen = func(addr net.Addr) { c.announce(log, addr, warnings) }
	srv, err := server.New(config)
	if err != nil {
		keyUnread := config.Sites[0].Proxy.SecretKey == "" && c.secretKeyFile != ""
		problems = append(problems, c.inFlags(err, keyUnread)...)
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return srv.Run(cmd.Context())
}

// config is what the flags say. Whatever they hold that server.New does not
// check is checked here.
func (c *serveCommand) config() (config server.Config, warnings []string, problems []error) {
	fail := func(flag, format string, args ...any) {
		problems = append(problems, problem(c.flags.Lookup(flag), fmt.Sprintf(format, args...)))
	}
	warn := func(text string) { warnings = append(warnings, text) }

	config = server.Config{
		Listen:         []string{c.listen},
		ClientIPHeader: c.clientIPHeader,
		DrainTimeout:   c.drainTimeout,
		Sites: []server.Site{{
			Hosts:      c.hosts,
			AppTimeout: cmp.Or(c.appTimeout, -1),
			Proxy: clerkproxy.Config{
				PublishableKey: c.publishableKey,
				ProxyURL:       c.proxyURL,
				FrontendAPIURL: c.fapiURL,
			},
		}},
	}
	site := &config.Sites[0]
	var err error
	if c.app != "" {
		if site.AppURL, err = parseAppURL(c.app); err != nil {
			fail("app", "%v", err)
		}
	}
	if site.Proxy.SecretKey, err = secretKey(c.secretKeyFile, warn); err != nil {
		fail("secret-key-file", "%v", err)
	}
	if config.TrustedProxies, err = parseTrustedProxies(c.trustedProxies, warn); err != nil {
		fail("trusted-proxies", "%v", err)
	}
	if c.fapiCA != "" {
		if site.Proxy.RootCAs, err = readCertificates(c.fapiCA); err != nil {
			fail("fapi-ca", "%s %v", c.fapiCA, err)
		}
	}
	if site.Proxy.AssetCache, err = parseSize(c.assetCache); err != nil {
		fail("asset-cache", "%v", err)
	}
	if c.appTimeout < 0 {
		fail("app-timeout", "%s is negative; 0 means for ever", c.appTimeout)
	}
	if c.drainTimeout <= 0 {
		fail("drain-timeout", "%s is too short; write a time such as 10s", c.drainTimeout)
	}

	inst, err := instance.ParsePublishableKey(c.publishableKey)
	switch {
	case err != nil || inst.Live:
	case !c.allowDevelopment:
		fail("publishable-key", "is that of a development instance (pk_test_), and Clerk proxies production instances only; "+
			"use the production instance's keys (pk_live_), or say --allow-development to serve the application without the proxy")
	case c.app == "":
		fail("app", "is missing; with a development instance's keys the proxy is off, and there is nothing else to serve")
	}
	if len(c.hosts) == 0 && strings.HasPrefix(c.proxyURL, "/") {
		warn("every Host is accepted, and Clerk is told a proxy URL made of it, whoever invented it; " +
			"name your host with --host app.dev, or give the whole URL with --proxy-url https://app.dev" + c.proxyURL)
	}
	return config, warnings, problems
}

// announce says where the server is, and what an operator should know.
func (c *serveCommand) announce(log *slog.Logger, addr net.Addr, warnings []string) {
	for _, warning := range warnings {
		log.Warn(warning)
	}
	inst, _ := instance.ParsePublishableKey(c.publishableKey)
	proxy := c.proxyURL
	if !inst.Live {
		proxy = "off"
	}
	log.Info("listening",
		slog.String("address", addr.String()),
		slog.String("proxy", proxy),
		slog.String("frontend_api", cmp.Or(c.fapiURL, inst.FrontendAPIURL())),
		slog.String("app", cmp.Or(c.app, "none")),
		slog.String("version", buildVersion().module))
}

// inFlags names the flags where server.New names the fields of its Config. That
// a secret key is missing which could not be read, goes without saying.
func (c *serveCommand) inFlags(err error, keyUnread bool) (problems []error) {
	flags := map[string]string{
		"Listen":         "listen",
		"AppURL":         "app",
		"PublishableKey": "publishable-key",
		"ProxyURL":       "proxy-url",
		"FrontendAPIURL": "fapi-url",
		"Hosts":          "host",
		"TrustedProxies": "trusted-proxies",
		"ClientIPHeader": "client-ip-header",
	}
	for _, each := range problemsOf(err) {
		var config *clerkproxy.ConfigError
		if !errors.As(each, &config) {
			problems = append(problems, each)
			continue
		}
		flag := c.flags.Lookup(flags[config.Field])
		switch {
		case flag != nil:
			each = problem(flag, config.Problem)
		case config.Field == "SecretKey" && keyUnread:
			continue
		case config.Field == "SecretKey" && c.secretKeyFile != "":
			each = problem(c.flags.Lookup("secret-key-file"), config.Problem)
		case config.Field == "SecretKey":
			each = errors.New("CLERK_SECRET_KEY (or --secret-key-file): " + config.Problem)
		}
		problems = append(problems, each)
	}
	return problems
}

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

// parseTrustedProxies returns nil for no entries: the default.
func parseTrustedProxies(entries []string, warn func(string)) ([]netip.Prefix, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if len(entries) == 1 && entries[0] == "none" {
		return []netip.Prefix{}, nil
	}
	var bad []string
	var prefixes []netip.Prefix
	for _, entry := range entries {
		prefix, ok := parsePrefix(strings.TrimSpace(entry))
		if !ok {
			bad = append(bad, fmt.Sprintf("%q", entry))
			continue
		}
		if prefix.Bits() == 0 {
			warn("--trusted-proxies " + entry + " trusts everyone: clients can choose the address that Clerk is told")
		}
		prefixes = append(prefixes, prefix)
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("%s: neither an address nor a range; write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32, or none alone", strings.Join(bad, ", "))
	}
	return prefixes, nil
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

// readCertificates reads authorities from a PEM file.
func readCertificates(name string) (*x509.CertPool, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, unnamed(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("holds no certificate in PEM")
	}
	return pool, nil
}
