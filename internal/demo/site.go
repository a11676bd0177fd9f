package demo

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/emulator"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// loopbackHosts are where the demo can be opened. Clerk's cookies are Secure,
// and without TLS browsers keep such cookies for these hosts only. Besides, a
// name that somebody makes point here must not open it.
var loopbackHosts = []string{"localhost", "127.0.0.1", "[::1]"}

// With a satellite each domain needs a host of its own, as cookies do not tell
// ports apart. Two names of this machine are two sites to a browser.
const (
	primaryHost   = "localhost"
	satelliteHost = "127.0.0.1"
)

// satelliteDomain is what Clerk calls the satellite.
const satelliteDomain = "satellite.example"

// site is one of the demo's domains: the sample application with a proxy of its
// own.
type site struct {
	listen string
	hosts  []string
	// name tells it from the other one. The fields below are set only when
	// there is another one.
	name        string
	address     string
	isSatellite bool
	primary     string // the primary domain's address
	satellite   string // the satellite's
}

// sitesAt are the demo's domains, the primary one first.
func sitesAt(listen string, withSatellite bool) ([]*site, error) {
	if !withSatellite {
		return []*site{{listen: listen, hosts: loopbackHosts}}, nil
	}
	host, text, err := net.SplitHostPort(listen)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil || portErr != nil || port == 1<<16-1 {
		return nil, fmt.Errorf("listen on %q: the demo needs an address as host:port, and with a satellite the next port too", listen)
	}
	// The satellite's host leads to one address only.
	other := satelliteHost
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		other = host
	}
	ports := []string{text, strconv.FormatUint(port+1, 10)}
	if port == 0 {
		if ports, err = freePorts(len(ports)); err != nil {
			return nil, err
		}
	}
	// Each names the other one on its pages, so both are known before either
	// listens.
	primary, satellite := "http://"+net.JoinHostPort(primaryHost, ports[0]), "http://"+net.JoinHostPort(satelliteHost, ports[1])
	return []*site{
		{listen: net.JoinHostPort(host, ports[0]), hosts: []string{primaryHost}, name: "primary", address: primary, primary: primary, satellite: satellite},
		{listen: net.JoinHostPort(other, ports[1]), hosts: []string{satelliteHost}, name: "satellite", address: satellite, primary: primary, satellite: satellite, isSatellite: true},
	}, nil
}

// freePorts are ports that nobody listens on at the moment.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(satelliteHost, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // not before the next one is found
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// emulatorFor is the Clerk that knows the sites. What there is of proxy URLs it
// learns when they are opened, unless one leads to the other.
func emulatorFor(sites []*site, npmDir string, log *slog.Logger) emulator.Config {
	config := emulator.Config{
		NPMDir: npmDir,
		Users:  []emulator.User{{FirstName: userFirstName, LastName: userLastName, Email: userEmail, Password: userPassword}},
		Logger: log,
	}
	for _, s := range sites {
		switch {
		case s.isSatellite:
			config.Satellites = []emulator.Satellite{{Domain: satelliteDomain, ProxyURLs: []string{s.address + clerkproxy.DefaultPath}}}
		case s.address != "":
			config.ProxyURLs = []string{s.address + clerkproxy.DefaultPath}
		}
	}
	return config
}

// register tells Clerk of a proxy URL of the site's.
func (s *site) register(clerk *emulator.Server, proxyURL string) error {
	if !s.isSatellite {
		return clerk.RegisterProxyURL(proxyURL)
	}
	_, err := clerk.AddSatellite(emulator.Satellite{Domain: satelliteDomain, ProxyURLs: []string{proxyURL}})
	return err
}

// server configures the server that the serve command runs, for the site.
func (s *site) server(clerk *emulator.Server, requests http.Handler, log *slog.Logger) server.Config {
	return server.Config{
		Listen: []string{s.listen},
		Sites: []server.Site{{ // of every host: the application tells whoever comes by another one
			Proxy: clerkproxy.Config{
				Hosts:          s.hosts,
				PublishableKey: clerk.PublishableKey,
				SecretKey:      clerk.SecretKey,
				FrontendAPIURL: clerk.FrontendAPI,
				RootCAs:        clerk.RootCAs(),
				ProxyURL:       clerkproxy.DefaultPath,
			},
			AppFor: func(proxy *clerkproxy.Proxy) (http.Handler, error) {
				return newApp(s, proxy, clerk, requests, log)
			},
		}},
		DrainTimeout: drainTimeout,
		Logger:       log,
	}
}
