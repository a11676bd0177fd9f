// Package config is what clerk-proxy is configured with: by a file, by flags and
// environment variables, or by both. A [Source] knows where it all comes from;
// what is wrong is said with the line of the file, or the flag, that says it.
package config

import (
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/admin"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// Config is a whole configuration, its texts as they are written. The tags are
// the keys of the file.
type Config struct {
	// Listen are the addresses to listen on, host:port.
	Listen []string `yaml:"listen"`
	// HTTPListen are the addresses at which plain HTTP is redirected to HTTPS.
	HTTPListen []string `yaml:"http_listen"`
	// TLS has certificates. With some, HTTPS is spoken at Listen.
	TLS TLS `yaml:"tls"`
	// HTTP3 has HTTP/3 spoken wherever HTTPS is, over UDP.
	HTTP3 bool `yaml:"http3"`
	// TrustedProxies are the addresses and ranges of the proxies in front, or
	// none alone. Empty: loopback and private ones.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// ClientIPHeader is the header in which the proxy in front gives the
	// client's address. Empty: X-Forwarded-For.
	ClientIPHeader string `yaml:"client_ip_header"`
	// AssetCache is the size of the memory that keeps Clerk's scripts, for each
	// site.
	AssetCache string `yaml:"asset_cache"`
	// DrainDelay is how long connections are accepted after a signal to end.
	DrainDelay time.Duration `yaml:"drain_delay"`
	// DrainTimeout is how long requests under way may take to end after that.
	DrainTimeout time.Duration `yaml:"drain_timeout"`
	// WatchInterval is how often the files of the configuration are looked at
	// for changes; 0 never.
	WatchInterval time.Duration `yaml:"watch_interval"`
	Admin         Admin         `yaml:"admin"`
	Log           Log           `yaml:"log"`
	// Sites are what is served.
	Sites []Site `yaml:"sites"`
}

// Site is an application, and the Clerk instance that people sign in to it with.
type Site struct {
	Name           string   `yaml:"name"`
	Hosts          []string `yaml:"hosts"`
	ProxyURL       string   `yaml:"proxy_url"`
	PublishableKey string   `yaml:"publishable_key"`
	// SecretKeyFile is a file that holds the secret key, SecretKeyEnv an
	// environment variable that does. One of them is required.
	SecretKeyFile string `yaml:"secret_key_file,file"`
	SecretKeyEnv  string `yaml:"secret_key_env"`
	// FrontendAPIURL is by default that of the publishable key's instance.
	FrontendAPIURL string `yaml:"frontend_api_url"`
	// FrontendAPICA is a PEM file with the authorities to trust for Clerk's
	// APIs. Empty: the system's.
	FrontendAPICA string `yaml:"frontend_api_ca,file"`
	// App is the URL of the application. Empty: there is none.
	App string `yaml:"app"`
	// AppTimeout limits the wait for the application's answer; 0 for ever.
	AppTimeout time.Duration `yaml:"app_timeout"`
	// Authenticate tells the application who is signed in, as
	// [server.Authentication] says. The fields up to BackendAPIURL are for it.
	Authenticate      bool     `yaml:"authenticate"`
	Satellite         bool     `yaml:"satellite"`
	SignInURL         string   `yaml:"sign_in_url"`
	SignUpURL         string   `yaml:"sign_up_url"`
	AuthorizedParties []string `yaml:"authorized_parties"`
	BackendAPIURL     string   `yaml:"backend_api_url"`
	// AllowDevelopment serves the application without the proxy when the keys
	// are those of a development instance.
	AllowDevelopment bool `yaml:"allow_development"`
}

// Default is the configuration where nothing is said. It has no sites.
func Default() Config {
	return Config{
		Listen:        []string{server.DefaultListen},
		AssetCache:    "64MiB",
		DrainTimeout:  server.DefaultDrainTimeout,
		WatchInterval: time.Second,
		Admin:         Admin{Listen: admin.DefaultListen},
		Log:           Log{Format: "text", Level: "info"},
	}
}

// DefaultSite is a site of which nothing is said.
func DefaultSite() Site {
	return Site{
		ProxyURL:   clerkproxy.DefaultPath,
		AppTimeout: server.DefaultAppTimeout,
	}
}

func (s *Site) setDefaults() { *s = DefaultSite() }
