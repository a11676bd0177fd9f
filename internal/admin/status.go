package admin

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/metrics"
)

// What the numbers of the status page are of.
const (
	// ofNow is the stretch of time that stands for now: long enough for a rate
	// to mean something, short enough to follow.
	ofNow = 10 * time.Second
	// ofMinute is the stretch that the table of kinds is about.
	ofMinute = time.Minute
)

// status is all that the page shows. It is made for the page and changes with
// it; programs read /metrics.
type status struct {
	Version string  `json:"version"`
	Now     int64   `json:"now"` // milliseconds since 1970, as all moments are
	Started int64   `json:"started"`
	Ready   bool    `json:"ready"`
	Checks  []Check `json:"checks"`

	Series       series        `json:"series"`
	Current      current       `json:"current"`
	Kinds        []kindStatus  `json:"kinds"`
	Connections  connections   `json:"connections"`
	Cache        cache         `json:"cache"`
	Errors       []errorStatus `json:"errors"`
	Sites        []siteStatus  `json:"sites"`
	Certificates []certificate `json:"certificates"`
	Reloads      reloads       `json:"reloads"`
	Events       []Event       `json:"events"`
	Check        *checkStatus  `json:"check"` // null: there is no check
}

// series are the lines that are drawn: a value for each step, the last one now.
type series struct {
	StepSeconds float64   `json:"stepSeconds"`
	Requests    []float64 `json:"requests"` // a second
	Failures    []float64 `json:"failures"` // share of requests
	P95         []float64 `json:"p95"`      // milliseconds
	InFlight    []float64 `json:"inFlight"`
}

// current is what the lines come to now.
type current struct {
	Requests  float64 `json:"requests"`
	Failures  float64 `json:"failures"`
	quantiles         // of the last minute
	InFlight  int     `json:"inFlight"`
}

// quantiles are in milliseconds; zero: there was nothing.
type quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

type kindStatus struct {
	Kind    string            `json:"kind"`
	Rate    float64           `json:"rate"`
	Classes map[string]uint64 `json:"classes"` // of the last minute
	quantiles
	Total uint64 `json:"total"`
}

type connections struct {
	Open       int64  `json:"open"`
	Opened     uint64 `json:"opened"`
	Failed     uint64 `json:"failed"`
	Requests   uint64 `json:"requests"`
	InFlight   int64  `json:"inFlight"`
	LastAnswer int64  `json:"lastAnswer"` // 0: there was none
}

type cache struct {
	Hits    uint64 `json:"hits"`
	Stale   uint64 `json:"stale"`
	Shared  uint64 `json:"shared"`
	Misses  uint64 `json:"misses"`
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes"`
	Limit   int64  `json:"limit"`
}

type errorStatus struct {
	Reason string `json:"reason"`
	Recent uint64 `json:"recent"` // within the span of the lines
	Total  uint64 `json:"total"`
}

type siteStatus struct {
	Site
	Rate     float64 `json:"rate"`
	Failures float64 `json:"failures"`
	Total    uint64  `json:"total"`
}

type certificate struct {
	Name     string `json:"name"`
	Issuer   string `json:"issuer"`
	NotAfter int64  `json:"notAfter"` // 0: there is none yet
	Failure  string `json:"failure"`
}

type reloads struct {
	Succeeded   uint64 `json:"succeeded"`
	Failed      uint64 `json:"failed"`
	LastFailed  bool   `json:"lastFailed"`
	LastSuccess int64  `json:"lastSuccess"`
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.status())
}

func (s *Server) status() status {
	checks := s.config.Health.Checks()
	readings := append(s.history.all(), s.read())
	last := &readings[len(readings)-1]
	st := status{
		Version:      s.config.Version,
		Now:          last.at.UnixMilli(),
		Started:      s.started.UnixMilli(),
		Ready:        ready(checks, ""),
		Checks:       checks,
		Series:       seriesOf(readings[:len(readings)-1]),
		Current:      currentOf(readings),
		Kinds:        kindsOf(readings),
		Errors:       errorsOf(readings),
		Sites:        s.sitesOf(readings),
		Certificates: s.certificates(),
		Reloads:      s.reloads(),
		Events:       s.config.Events.all(),
		Check:        s.checks.status(),
	}
	st.Connections, st.Cache = s.upstreams(last)
	return st
}

func seriesOf(readings []reading) series {
	out := series{StepSeconds: step.Seconds()}
	for i := range readings[1:] {
		then, now := &readings[i], &readings[i+1]
		rate, failures := traffic(then, now)
		out.Requests = append(out.Requests, rate)
		out.Failures = append(out.Failures, failures)
		out.InFlight = append(out.InFlight, float64(now.inFlight))
		// A percentile of two seconds would jump about.
		out.P95 = append(out.P95, quantilesOf(now.durations().Since(before(readings[:i+2], ofNow).durations())).P95)
	}
	return out
}

func currentOf(readings []reading) current {
	last := &readings[len(readings)-1]
	c := current{InFlight: last.inFlight}
	c.Requests, c.Failures = traffic(before(readings, ofNow), last)
	c.quantiles = quantilesOf(last.durations().Since(before(readings, ofMinute).durations()))
	return c
}

// traffic is how many requests a second there were between two readings, and the
// share of them that failed: were answered with 5xx.
func traffic(then, now *reading) (rate, failures float64) {
	return change(then.requests(), now.requests(), now.at.Sub(then.at))
}

func change(then, now metrics.Classes, took time.Duration) (rate, failures float64) {
	if now.Sum() <= then.Sum() || took <= 0 {
		return 0, 0
	}
	requests := now.Sum() - then.Sum()
	return rounded(float64(requests) / took.Seconds()), rounded(float64(less(now[5], then[5])) / float64(requests))
}

// less is a count's growth. One that is smaller than before began anew, with
// another proxy after a reload.
func less(now, then uint64) uint64 {
	if now < then {
		return now
	}
	return now - then
}

// rounded leaves off digits that nobody reads.
func rounded(x float64) float64 { return math.Round(x*1000) / 1000 }

func quantilesOf(d metrics.Durations) quantiles {
	ms := func(q float64) float64 { return rounded(float64(d.Quantile(q)) / float64(time.Millisecond)) }
	return quantiles{P50: ms(0.50), P95: ms(0.95), P99: ms(0.99)}
}

func kindsOf(readings []reading) (all []kindStatus) {
	last, then := &readings[len(readings)-1], before(readings, ofMinute)
	for _, kind := range metrics.Kinds() {
		now, old := &last.counts.Kinds[kind], &then.counts.Kinds[kind]
		k := kindStatus{
			Kind:      kind.String(),
			Classes:   map[string]uint64{},
			quantiles: quantilesOf(now.Durations.Since(old.Durations)),
			Total:     now.Classes.Sum(),
		}
		k.Rate, _ = change(old.Classes, now.Classes, last.at.Sub(then.at))
		for class, name := range [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"} {
			if n := now.Classes[class] - old.Classes[class]; n > 0 {
				k.Classes[name] = n
			}
		}
		all = append(all, k)
	}
	return all
}

func errorsOf(readings []reading) []errorStatus {
	var all []errorStatus
	sum := func(r *reading, add func(i int, e metrics.ErrorCount)) {
		for _, site := range r.counts.Sites {
			for i, e := range metrics.Errors(site.Errors) {
				add(i, e)
			}
		}
	}
	for _, e := range metrics.Errors(metrics.SiteStats{}.Errors) {
		all = append(all, errorStatus{Reason: e.Reason})
	}
	old := make([]uint64, len(all))
	sum(&readings[0], func(i int, e metrics.ErrorCount) { old[i] += e.Count })
	sum(&readings[len(readings)-1], func(i int, e metrics.ErrorCount) { all[i].Total += e.Count })
	for i := range all {
		all[i].Recent = less(all[i].Total, old[i])
	}
	return all
}

// sitesOf are the sites as they are configured, with what they do.
func (s *Server) sitesOf(readings []reading) []siteStatus {
	all := []siteStatus{}
	last, then := &readings[len(readings)-1], before(readings, ofMinute)
	for _, site := range s.config.sites() {
		st := siteStatus{Site: site}
		now, old := of(last, site.Name), of(then, site.Name)
		st.Rate, st.Failures = change(old, now, last.at.Sub(then.at))
		st.Total = now.Sum()
		all = append(all, st)
	}
	return all
}

func of(r *reading, site string) metrics.Classes {
	for _, s := range r.counts.Sites {
		if s.Name == site {
			return s.Classes
		}
	}
	return metrics.Classes{}
}

func (s *Server) upstreams(last *reading) (c connections, k cache) {
	for _, site := range last.counts.Sites {
		c.Open += site.Upstream.Open
		c.Opened += site.Upstream.Opened
		c.Failed += site.Upstream.Failed
		c.Requests += site.Upstream.Requests
		c.InFlight += site.InFlight
		k.Hits += site.Assets.Hits
		k.Stale += site.Assets.Stale
		k.Shared += site.Assets.Shared
		k.Misses += site.Assets.Misses
		k.Entries += site.Assets.Entries
		k.Bytes += site.Assets.Bytes
	}
	for _, site := range s.config.sites() {
		k.Limit += site.AssetCache
	}
	c.LastAnswer = moment(s.config.Health.LastAnswer())
	return c, k
}

// moment is a time as the page has it; 0 is none.
func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// maxCertificates is how many the page shows, those that end first.
const maxCertificates = 100

func (s *Server) certificates() []certificate {
	all := []certificate{}
	if s.config.Certificates == nil {
		return all
	}
	for _, c := range s.config.Certificates() {
		all = append(all, certificate{c.Name, c.Issuer, moment(c.NotAfter), c.Failure})
	}
	slices.SortFunc(all, func(a, b certificate) int {
		return cmp.Or(cmp.Compare(a.NotAfter, b.NotAfter), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(len(all), maxCertificates)]
}

func (s *Server) reloads() reloads {
	if s.config.Reloads == nil {
		return reloads{}
	}
	r := s.config.Reloads()
	return reloads{r.Succeeded, r.Failed, r.LastFailed, moment(r.LastSuccess)}
}
