// Package metrics counts what the server does, for Prometheus and for the
// status page.
//
// What a request costs is a handful of atomic additions to counters that are
// there already: see [Site.Request]. Everything else is read when somebody asks.
// No label has a value that a client chose.
package metrics

import (
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clerkproxy/clerkproxy"
)

// A Kind is what a request was for.
type Kind uint8

const (
	FrontendAPI Kind = iota // Clerk's Frontend API
	Asset                   // Clerk's scripts, below /npm/ of the Frontend API
	App                     // the application
	Refused                 // nobody: the server answered by itself
	kinds       = iota
)

func (k Kind) String() string {
	return [...]string{"frontend_api", "asset", "app", "refused"}[k]
}

// Kinds are all there are.
func Kinds() []Kind { return []Kind{FrontendAPI, Asset, App, Refused} }

// Config says what the metrics are of. Its functions are called whenever the
// metrics are read; one that is nil has nothing to tell.
type Config struct {
	// Version and Revision are those of the program.
	Version, Revision string

	// Sites are those that are served now.
	Sites func() []SiteStats
	// Certificates are those that the server has.
	Certificates func() []Certificate
	// InFlight is how many requests are under way, WebSockets among them.
	InFlight func() int
	// Ready is whether the server wants traffic.
	Ready func() bool
	// LastAnswer is when the Frontend API last answered anything; zero if it
	// never has.
	LastAnswer func() time.Time
	// Reloads are the attempts to load the configuration again.
	Reloads func() Reloads
}

// SiteStats are the counts of a site's proxy.
type SiteStats struct {
	Name string
	clerkproxy.Stats
}

// A Certificate is one that the server shows to clients, or is to show.
type Certificate struct {
	Name     string // one of the names that it is for
	Issuer   string
	NotAfter time.Time // zero: there is none yet
	Failure  string    // why there is none, or no newer one; empty: all is well
}

// Reloads are attempts to load the configuration again.
type Reloads struct {
	Succeeded, Failed uint64
	LastFailed        bool
	LastSuccess       time.Time // zero: none has succeeded
}

// Metrics counts. Make one with [New].
type Metrics struct {
	config   Config
	registry *prometheus.Registry

	durations [kinds]durations
	upstream  [kinds]histogram
	decisions decisions

	making sync.Mutex // of a site
	sites  atomic.Pointer[map[string]*Site]
}

// durations are those of one kind of request, by class of status.
type durations [classes]histogram

// New returns metrics with nothing counted.
func New(c Config) *Metrics {
	m := &Metrics{config: c, registry: prometheus.NewRegistry()}
	m.sites.Store(&map[string]*Site{"": {metrics: m}})
	m.decisions.init()
	m.registry.MustRegister(
		&collector{m},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers scrapes.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// Site returns the counters of a site. They are made when it is asked for the
// first time, and go on when the configuration is loaded again. The empty name
// is for requests that are no site's.
func (m *Metrics) Site(name string) *Site {
	if s := (*m.sites.Load())[name]; s != nil {
		return s
	}
	m.making.Lock()
	defer m.making.Unlock()
	sites := maps.Clone(*m.sites.Load())
	if sites[name] == nil { // nobody else was faster
		sites[name] = &Site{metrics: m}
	}
	m.sites.Store(&sites)
	return sites[name]
}

const (
	// maxCode is the largest status of RFC 9110.
	maxCode = 599
	classes = 6 // of statuses: the first digit, 0 for what is none
)

// A Site counts the requests of one site.
type Site struct {
	metrics  *Metrics
	requests [kinds][maxCode + 1]atomic.Uint64 // by status; 0 is what is none
	bytes    [kinds]atomic.Uint64
}

// A Request is one that has ended.
type Request struct {
	Kind     Kind
	Status   int
	Bytes    int64         // of the answer's body
	Duration time.Duration // until it had been written
	Upstream time.Duration // until the upstream's headers; zero: none was asked
}

// Request counts a request. It does not allocate.
func (s *Site) Request(r Request) {
	code := r.Status
	if code < 100 || code > maxCode {
		code = 0
	}
	s.requests[r.Kind][code].Add(1)
	s.bytes[r.Kind].Add(uint64(max(0, r.Bytes)))
	s.metrics.durations[r.Kind][code/100].observe(r.Duration)
	if r.Upstream > 0 {
		s.metrics.upstream[r.Kind].observe(r.Upstream)
	}
}
