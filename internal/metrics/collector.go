package metrics

import (
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("clerk_proxy_"+name, help, labels, nil)
}

// The metrics, in the order in which the documentation has them.
var (
	descBuild    = describe("build_info", "What the program was built from; always 1.", "version", "revision", "go_version")
	descReady    = describe("ready", "Whether /readyz says that the server wants traffic.")
	descInFlight = describe("requests_in_flight", "Requests under way, WebSockets among them.")

	descRequests = describe("requests_total", "Requests that have ended.", "site", "kind", "code")
	descBytes    = describe("response_body_bytes_total", "Bytes of the bodies of answers.", "site", "kind")
	descDuration = describe("request_duration_seconds", "Time from a request's headers to the end of its answer.", "kind", "class")
	descUpstream = describe("upstream_duration_seconds", "Time from a request to the headers of the upstream's answer, or of the cache's.", "kind")
	descErrors   = describe("errors_total", "Requests to which the Frontend API's answer was not passed on whole.", "site", "reason")

	descForwarding  = describe("frontend_api_requests_in_flight", "Requests that are being forwarded to the Frontend API.", "site")
	descSent        = describe("frontend_api_requests_total", "Requests that the Frontend API was to be sent, those that fill the cache among them.", "site")
	descAnswers     = describe("frontend_api_answers_total", "Requests that the Frontend API began to answer, whatever the status.", "site")
	descLastAnswer  = describe("frontend_api_last_answer_timestamp_seconds", "When the Frontend API last answered anything.")
	descOpened      = describe("frontend_api_connections_opened_total", "Connections to the Frontend API that were opened.", "site")
	descNotOpened   = describe("frontend_api_connections_failed_total", "Connections to the Frontend API that could not be opened.", "site")
	descConnections = describe("frontend_api_connections", "Connections to the Frontend API that are open, in use or idle.", "site")

	descAssets       = describe("asset_cache_requests_total", "Requests for Clerk's scripts, by what the cache did.", "site", "result")
	descAssetEntries = describe("asset_cache_entries", "Answers in the cache of Clerk's scripts.", "site")
	descAssetBytes   = describe("asset_cache_bytes", "Memory that the cache of Clerk's scripts takes.", "site")

	descDecisions  = describe("auth_decisions_total", "Requests by whether they are signed in.", "status")
	descHandshakes = describe("auth_handshakes_total", "Requests that were redirected for a handshake.", "reason")

	descCertificate = describe("certificate_expiry_timestamp_seconds", "When a certificate ends.", "name")
	descReloads     = describe("config_reloads_total", "Attempts to load the configuration again.", "result")
	descReloadOK    = describe("config_last_reload_successful", "Whether the last attempt to load the configuration again worked, or there was none.")
	descReloaded    = describe("config_last_reload_success_timestamp_seconds", "When the configuration was last loaded again.")
)

// maxCertificates bounds the series: with certificates on demand, clients have
// a say in how many there are.
const maxCertificates = 1000

// collector reads the counters when Prometheus asks.
type collector struct{ *Metrics }

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descBuild, descReady, descInFlight, descRequests, descBytes, descDuration, descUpstream, descErrors,
		descForwarding, descSent, descAnswers, descLastAnswer, descOpened, descNotOpened, descConnections,
		descAssets, descAssetEntries, descAssetBytes, descDecisions, descHandshakes,
		descCertificate, descReloads, descReloadOK, descReloaded,
	} {
		descs <- d
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	to := sink(metrics)
	to.gauge(descBuild, 1, c.config.Version, c.config.Revision, runtime.Version())
	if c.config.Ready != nil {
		to.gauge(descReady, truth(c.config.Ready()))
	}
	if c.config.InFlight != nil {
		to.gauge(descInFlight, float64(c.config.InFlight()))
	}
	if c.config.LastAnswer != nil {
		to.moment(descLastAnswer, c.config.LastAnswer())
	}
	for _, s := range c.served() {
		to.site(s)
	}
	for _, k := range Kinds() {
		c.durations[k].collect(to, k)
		if count, sum, buckets := c.upstream[k].read(); count > 0 {
			to <- prometheus.MustNewConstHistogram(descUpstream, count, sum, buckets, k.String())
		}
	}
	c.decisions.collect(to)
	if c.config.Reloads != nil {
		c.config.Reloads().collect(to)
	}
	c.collectCertificates(to)
}

// sink is where metrics go.
type sink chan<- prometheus.Metric

func (to sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	to.send(d, prometheus.GaugeValue, value, labels)
}

func (to sink) count(d *prometheus.Desc, value uint64, labels ...string) {
	to.send(d, prometheus.CounterValue, float64(value), labels)
}

// moment leaves out what has not been.
func (to sink) moment(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		to.gauge(d, float64(t.UnixMilli())/1000, labels...)
	}
}

func (to sink) send(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "�") // or it panics
	}
	to <- prometheus.MustNewConstMetric(d, kind, value, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (to sink) site(s servedSite) {
	name := s.Name
	for k := range s.site.requests {
		kind := Kind(k).String()
		any := false
		for code := range s.site.requests[k] {
			if n := s.site.requests[k][code].Load(); n > 0 {
				to.count(descRequests, n, name, kind, codeLabel(code))
				any = true
			}
		}
		if any {
			to.count(descBytes, s.site.bytes[k].Load(), name, kind)
		}
	}
	if s.Name == "" {
		return // no site, no proxy
	}
	to.gauge(descForwarding, float64(s.InFlight), name)
	to.count(descSent, s.Upstream.Requests, name)
	to.count(descAnswers, s.Upstream.Answers, name)
	to.count(descOpened, s.Upstream.Opened, name)
	to.count(descNotOpened, s.Upstream.Failed, name)
	to.gauge(descConnections, float64(s.Upstream.Open), name)
	for _, result := range []struct {
		name string
		n    uint64
	}{{"hit", s.Assets.Hits}, {"stale", s.Assets.Stale}, {"shared", s.Assets.Shared}, {"miss", s.Assets.Misses}} {
		to.count(descAssets, result.n, name, result.name)
	}
	to.gauge(descAssetEntries, float64(s.Assets.Entries), name)
	to.gauge(descAssetBytes, float64(s.Assets.Bytes), name)
	for _, e := range Errors(s.Stats.Errors) {
		to.count(descErrors, e.Count, name, e.Reason)
	}
}

func codeLabel(code int) string {
	if code == 0 {
		return "other"
	}
	return strconv.Itoa(code)
}

func (d *durations) collect(to sink, k Kind) {
	for class := range d {
		if count, sum, buckets := d[class].read(); count > 0 {
			label := "other"
			if class > 0 {
				label = strconv.Itoa(class) + "xx"
			}
			to <- prometheus.MustNewConstHistogram(descDuration, count, sum, buckets, k.String(), label)
		}
	}
}

func (d *decisions) collect(to sink) {
	var handshakes uint64
	for reason, count := range d.handshakes {
		n := count.Load()
		handshakes += n
		to.count(descHandshakes, n, reason)
	}
	to.count(descDecisions, d.signedIn.Load(), "signed_in")
	to.count(descDecisions, d.signedOut.Load(), "signed_out")
	to.count(descDecisions, handshakes, "handshake")
}

func (r Reloads) collect(to sink) {
	to.count(descReloads, r.Succeeded, "ok")
	to.count(descReloads, r.Failed, "failed")
	to.gauge(descReloadOK, truth(!r.LastFailed))
	to.moment(descReloaded, r.LastSuccess)
}

func (c *collector) collectCertificates(to sink) {
	if c.config.Certificates == nil {
		return
	}
	// Of several for one name, as with two algorithms, the first to end counts:
	// that is when some clients are refused.
	ends := map[string]time.Time{}
	for _, certificate := range c.config.Certificates() {
		end, ok := ends[certificate.Name]
		if !certificate.NotAfter.IsZero() && (ok && certificate.NotAfter.Before(end) || !ok && len(ends) < maxCertificates) {
			ends[certificate.Name] = certificate.NotAfter
		}
	}
	for name, end := range ends {
		to.moment(descCertificate, end, name)
	}
}
