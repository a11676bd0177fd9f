package emulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// Code is the code of every e-mail verification.
const Code = "424242"

// Config says what is emulated. The zero value works.
type Config struct {
	// FrontendAPIAddr and BackendAPIAddr are the TCP addresses to listen on.
	// Empty means a free port on 127.0.0.1.
	FrontendAPIAddr string
	BackendAPIAddr  string

	// Domain is the instance's primary domain. Empty means example.com. Its
	// Frontend API's host, clerk.<Domain>, is what the publishable key holds.
	Domain string

	// ProxyURLs are registered as by [Server.RegisterProxyURL].
	ProxyURLs []string

	// Satellites are further domains, as by [Server.AddSatellite].
	Satellites []Satellite

	// Users are there from the start, as by [Server.AddUser].
	Users []User

	// Organizations are there from the start, as by [Server.AddOrganization].
	Organizations []Organization

	// Roles are the permissions of each role in an organization, such as
	// "org:editor": {"org:invoices:create"}. The roles org:admin and org:member
	// are always there; without an entry they have no permission.
	Roles map[string][]string

	// JWTTemplates are the instance's JWT templates: the claims that each adds
	// to a token, by the template's name.
	JWTTemplates map[string]map[string]any

	// NPMDir is the directory that holds the node_modules whose @clerk packages
	// are served under /npm/. When it is empty, /npm/ answers 404 and says what
	// to install.
	NPMDir string

	// Now tells the time that tokens, sessions and codes live by; nil means
	// time.Now. Certificates do not follow it.
	Now func() time.Time

	// TLSHosts are further host names and IP addresses that the certificate of
	// both APIs is for. It is always for localhost and the loopback addresses,
	// for the hosts listened on, for clerk.<Domain> of it and of the Satellites,
	// and for Clerk's own frontend-api.clerk.dev and api.clerk.com.
	TLSHosts []string

	// ProxyCheckTransport reaches the proxy URLs that the Backend API checks.
	// Nil means a transport that trusts the system's authorities and this
	// emulator's own; set one to make an invented domain resolve.
	ProxyCheckTransport http.RoundTripper

	// OnRequest, when set, is told of every request once it is answered, from
	// many goroutines at once.
	OnRequest func(Request)

	// Logger is told what goes wrong inside the emulator; nil means nothing is.
	Logger *slog.Logger
}

// Request is what [Config.OnRequest] is told. It holds no query, no cookie, no
// key and no token.
type Request struct {
	// API is "frontend" or "backend".
	API string
	// Method is the request's method, after ClerkJS's _method parameter.
	Method string
	Path   string
	Status int
	// Duration is from the request's arrival to the last byte of the answer.
	Duration time.Duration
	// ForwardedFor is the X-Forwarded-For header as it arrived.
	ForwardedFor string
}

// Server is a running emulator. All its methods may be used concurrently.
type Server struct {
	// FrontendAPI is the URL of the Frontend API, such as
	// https://127.0.0.1:41233: what a proxy forwards to, and CLERK_FAPI_URL.
	FrontendAPI string
	// BackendAPI is the URL of the Backend API, without its /v1: CLERK_API_URL.
	BackendAPI string
	// PublishableKey and SecretKey are the instance's keys, of a production
	// instance. The secret key is another one at every start.
	PublishableKey string
	SecretKey      string

	config    Config
	instance  instance.Instance
	authority *authority
	// instanceID is the first signing key's id too, as it is with Clerk.
	instanceID string
	keys       keyRing
	// clientKey signs the __client cookie, which is nobody's to verify but
	// ours, and so outlives the rotation of keys.
	clientKey *signingKey
	packages  *packages

	servers []*http.Server
	serving sync.WaitGroup
	done    context.CancelFunc

	mu    sync.Mutex
	state state
}

// state is everything that requests change, guarded by Server.mu.
type state struct {
	domains       []*domain // the primary one first
	users         []*user
	organizations []*organization
	clients       map[string]*client
	sessions      []*session
	checks        map[*proxyCheck]bool
	handshakes    once[[]string] // by nonce
	links         once[link]     // by token
}

// Start starts an emulator. The caller closes it with [Server.Close].
func Start(config Config) (*Server, error) {
	if config.Domain == "" {
		config.Domain = "example.com"
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	publishable := instance.PublishableKey("clerk."+config.Domain, true)
	inst, err := instance.ParsePublishableKey(publishable)
	if err != nil {
		return nil, fmt.Errorf("emulator: the domain %q: is not a domain name", config.Domain)
	}
	s := &Server{
		PublishableKey: publishable,
		SecretKey:      "sk_live_" + randomText(40),
		config:         config,
		instance:       inst,
		packages:       newPackages(config.NPMDir),
		state: state{
			domains:    []*domain{{id: newID("dmn"), name: config.Domain}},
			clients:    map[string]*client{},
			checks:     map[*proxyCheck]bool{},
			handshakes: once[[]string]{},
			links:      once[link]{},
		},
	}
	if err := s.RotateKeys(); err != nil {
		return nil, err
	}
	s.clientKey = s.keys.current()
	s.instanceID = s.clientKey.id
	var problems []error
	if err := checkRoles(config.Roles); err != nil {
		problems = append(problems, fmt.Errorf("emulator: %w", err))
	}
	for _, host := range config.TLSHosts {
		if net.ParseIP(host) == nil && (host == "" || strings.Contains(host, ":") || !isDomainName(host)) {
			problems = append(problems, fmt.Errorf("emulator: the TLS host %q: is neither a host name nor an IP address", host))
		}
	}
	for _, proxyURL := range config.ProxyURLs {
		problems = append(problems, s.RegisterProxyURL(proxyURL))
	}
	for _, satellite := range config.Satellites {
		_, err := s.AddSatellite(satellite)
		problems = append(problems, err)
	}
	for _, u := range config.Users {
		_, err := s.AddUser(u)
		problems = append(problems, err)
	}
	for _, o := range config.Organizations {
		_, err := s.AddOrganization(o)
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		s.Close()
		return nil, fmt.Errorf("emulator: %w", err)
	}
	return s, nil
}

// NewServer is [Start] with the zero Config, for tests: it panics when it fails.
func NewServer() *Server {
	s, err := Start(Config{})
	if err != nil {
		panic(err)
	}
	return s
}

func (s *Server) listen() error {
	frontend, err := listenOn(s.config.FrontendAPIAddr)
	if err != nil {
		return fmt.Errorf("listening for the Frontend API: %w", err)
	}
	defer closeUnlessServed(&frontend)
	backend, err := listenOn(s.config.BackendAPIAddr)
	if err != nil {
		return fmt.Errorf("listening for the Backend API: %w", err)
	}
	defer closeUnlessServed(&backend)

	hosts := []string{"localhost", "127.0.0.1", "::1", s.instance.FrontendAPI, "frontend-api.clerk.dev", "api.clerk.com"}
	for _, satellite := range s.config.Satellites {
		hosts = append(hosts, "clerk."+satellite.Domain)
	}
	for _, listener := range []net.Listener{frontend, backend} {
		if ip := listener.Addr().(*net.TCPAddr).IP; !ip.IsUnspecified() && !ip.IsLoopback() {
			hosts = append(hosts, ip.String())
		}
	}
	if s.authority, err = newAuthority(append(hosts, s.config.TLSHosts...)); err != nil {
		return fmt.Errorf("making the certificate: %w", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	s.done = cancel
	s.FrontendAPI = s.serve(ctx, &frontend, s.observed("frontend", s.frontend()))
	s.BackendAPI = s.serve(ctx, &backend, s.observed("backend", s.backend()))
	return nil
}

func listenOn(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	return net.Listen("tcp", addr)
}

// closeUnlessServed closes a listener that serve did not take over.
func closeUnlessServed(listener *net.Listener) {
	if *listener != nil {
		(*listener).Close()
	}
}

// serve takes the listener over and answers its URL. The goroutine ends when
// Close closes the server.
func (s *Server) serve(ctx context.Context, taken *net.Listener, handler http.Handler) string {
	listener := *taken
	*taken = nil
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.authority.leaf}, MinVersion: tls.VersionTLS12},
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn),
	}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { server.ServeTLS(listener, "", "") })

	addr := listener.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: addr.Port}
	}
	return "https://" + addr.String()
}

// Close stops both APIs, cutting the requests that are under way, and waits
// until no goroutine of the listeners is left.
func (s *Server) Close() {
	if s.done != nil {
		s.done()
	}
	for _, server := range s.servers {
		server.Close()
	}
	s.serving.Wait()
}

// RootCAs holds the authority that issued the certificate of both APIs.
func (s *Server) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.certificate)
	return pool
}

// CAPEM is that authority's certificate in PEM, for a file that programs can be
// pointed at, such as NODE_EXTRA_CA_CERTS.
func (s *Server) CAPEM() []byte { return s.authority.pem() }

// Env is the instance in Clerk's environment variables, as KEY=value, fit for
// exec.Cmd.Env. The value of CLERK_JWT_KEY is PEM, of the newest signing key, and
// has several lines.
func (s *Server) Env() []string {
	return []string{
		"CLERK_PUBLISHABLE_KEY=" + s.PublishableKey,
		"CLERK_SECRET_KEY=" + s.SecretKey,
		"CLERK_FAPI_URL=" + s.FrontendAPI,
		"CLERK_API_URL=" + s.BackendAPI,
		"CLERK_JWT_KEY=" + s.keys.current().publicPEM(),
	}
}

// observed tells OnRequest of every request that handler answers.
func (s *Server) observed(api string, handler http.Handler) http.Handler {
	if s.config.OnRequest == nil {
		return handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		handler.ServeHTTP(status, r)
		s.config.OnRequest(Request{
			API:          api,
			Method:       effectiveMethod(r),
			Path:         r.URL.Path,
			Status:       status.status,
			Duration:     time.Since(started),
			ForwardedFor: r.Header.Get("X-Forwarded-For"),
		})
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
