package metrics

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clerkproxy/clerkproxy"
)

// everything is metrics in which everything has been counted.
func everything() *Metrics {
	m := New(Config{
		Version:  "v1.2.3",
		Revision: "0123456789ab",
		Sites: func() []SiteStats {
			return []SiteStats{{Name: "app.dev", Stats: clerkproxy.Stats{
				InFlight: 3,
				Upstream: clerkproxy.UpstreamStats{Requests: 7, Answers: 6, Opened: 2, Failed: 1, Open: 1},
				Assets:   clerkproxy.AssetStats{Hits: 4, Stale: 3, Shared: 2, Misses: 1, Entries: 5, Bytes: 1024},
				Errors:   clerkproxy.ErrorStats{Unreachable: 2, Timeout: 1},
			}}}
		},
		Certificates: func() []Certificate {
			return []Certificate{
				{Name: "app.dev", NotAfter: time.Unix(2_000_000_000, 0)},
				{Name: "app.dev", NotAfter: time.Unix(1_900_000_000, 0)}, // of another algorithm
				{Name: "app.dev"}, // not issued yet
			}
		},
		InFlight:   func() int { return 4 },
		Ready:      func() bool { return true },
		LastAnswer: func() time.Time { return time.Unix(1_800_000_000, 0) },
		Reloads: func() Reloads {
			return Reloads{Succeeded: 1, Failed: 1, LastFailed: true, LastSuccess: time.Unix(1_700_000_000, 0)}
		},
	})
	for _, k := range Kinds() {
		m.Site("app.dev").Request(Request{Kind: k, Status: 200, Bytes: 10, Duration: 40 * time.Millisecond, Upstream: 30 * time.Millisecond})
	}
	m.Site("app.dev").Request(Request{Kind: FrontendAPI, Status: 502, Duration: time.Second, Upstream: time.Second})
	m.Site("").Request(Request{Kind: Refused, Status: 421, Duration: time.Millisecond})
	m.Decision("signed-in", "")
	m.Decision("handshake", "session-token-expired-refresh-fetch-error")
	return m
}

func TestPrometheusFindsNothingToComplainAbout(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What is collected is what is described: a pedantic registry checks.
func TestTheDescriptionIsOfWhatThereIs(t *testing.T) {
	pedantic := prometheus.NewPedanticRegistry()
	pedantic.MustRegister(&collector{everything()})
	families, err := pedantic.Gather()
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	new(collector).Describe(descs)
	if len(families) != len(descs) {
		t.Errorf("%d metrics are described, %d are there", len(descs), len(families))
	}
}

func TestWhatAScrapeSays(t *testing.T) {
	said := scrape(t, everything())
	for _, want := range []string{
		`clerk_proxy_build_info{go_version="go1.`,
		`clerk_proxy_ready 1`,
		`clerk_proxy_requests_in_flight 4`,
		`clerk_proxy_requests_total{code="200",kind="frontend_api",site="app.dev"} 1`,
		`clerk_proxy_requests_total{code="502",kind="frontend_api",site="app.dev"} 1`,
		`clerk_proxy_requests_total{code="421",kind="refused",site=""} 1`,
		`clerk_proxy_response_body_bytes_total{kind="app",site="app.dev"} 10`,
		`clerk_proxy_request_duration_seconds_bucket{class="2xx",kind="app",le="0.03"} 0`,
		`clerk_proxy_request_duration_seconds_bucket{class="2xx",kind="app",le="0.05"} 1`,
		`clerk_proxy_request_duration_seconds_sum{class="5xx",kind="frontend_api"} 1`,
		`clerk_proxy_upstream_duration_seconds_count{kind="frontend_api"} 2`,
		`clerk_proxy_errors_total{reason="unreachable",site="app.dev"} 2`,
		`clerk_proxy_frontend_api_requests_in_flight{site="app.dev"} 3`,
		`clerk_proxy_frontend_api_requests_total{site="app.dev"} 7`,
		`clerk_proxy_frontend_api_answers_total{site="app.dev"} 6`,
		`clerk_proxy_frontend_api_last_answer_timestamp_seconds 1.8e+09`,
		`clerk_proxy_frontend_api_connections_opened_total{site="app.dev"} 2`,
		`clerk_proxy_frontend_api_connections_failed_total{site="app.dev"} 1`,
		`clerk_proxy_frontend_api_connections{site="app.dev"} 1`,
		`clerk_proxy_asset_cache_requests_total{result="hit",site="app.dev"} 4`,
		`clerk_proxy_asset_cache_requests_total{result="shared",site="app.dev"} 2`,
		`clerk_proxy_asset_cache_entries{site="app.dev"} 5`,
		`clerk_proxy_asset_cache_bytes{site="app.dev"} 1024`,
		`clerk_proxy_auth_decisions_total{status="signed_in"} 1`,
		`clerk_proxy_auth_handshakes_total{reason="session-token-expired"} 1`,
		`clerk_proxy_certificate_expiry_timestamp_seconds{name="app.dev"} 1.9e+09`,
		`clerk_proxy_config_reloads_total{result="failed"} 1`,
		`clerk_proxy_config_last_reload_successful 0`,
		`go_goroutines `,
		`process_cpu_seconds_total `,
	} {
		if !strings.Contains(said, "\n"+want) {
			t.Errorf("not said: %s", want)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("got %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// Whatever clients and upstreams come up with, there are only so many series.
func TestLabelsAreBounded(t *testing.T) {
	m := New(Config{Certificates: func() (all []Certificate) {
		for i := range 5000 {
			all = append(all, Certificate{Name: fmt.Sprint(i, ".dev"), NotAfter: time.Now()})
		}
		return all
	}})
	for code := -1000; code < 10000; code++ {
		m.Site("").Request(Request{Kind: App, Status: code})
	}
	for i := range 1000 {
		m.Decision("handshake", fmt.Sprint("reason-", i))
		m.Decision(fmt.Sprint("status-", i), "")
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{
		"clerk_proxy_requests_total":                       501, // 100 to 599, and what is none
		"clerk_proxy_request_duration_seconds":             6,
		"clerk_proxy_auth_handshakes_total":                len(handshakeReasons),
		"clerk_proxy_auth_decisions_total":                 3,
		"clerk_proxy_certificate_expiry_timestamp_seconds": maxCertificates,
	} {
		if series[name] != want {
			t.Errorf("%d series of %s, want %d", series[name], name, want)
		}
	}
	if got := m.decisions.handshakes["other"].Load(); got != 1000 {
		t.Errorf("%d handshakes for other reasons", got)
	}
}

func TestALabelThatIsNotUTF8(t *testing.T) {
	m := New(Config{Certificates: func() []Certificate { return []Certificate{{Name: "\xff.dev", NotAfter: time.Now()}} }})
	if said := scrape(t, m); !strings.Contains(said, `name="�.dev"`) {
		t.Error(said)
	}
}

// A site that the configuration no longer has is not told of any more; what it
// did remains in what all of them did.
func TestASiteThatGoes(t *testing.T) {
	names := []string{"a.dev", "b.dev"}
	m := New(Config{Sites: func() (all []SiteStats) {
		for _, name := range names {
			all = append(all, SiteStats{Name: name})
		}
		return all
	}})
	for _, name := range names {
		m.Site(name).Request(Request{Kind: App, Status: 200})
	}
	names = []string{"b.dev"}
	m.Site("b.dev").Request(Request{Kind: App, Status: 500})

	said := scrape(t, m)
	if strings.Contains(said, "a.dev") || !strings.Contains(said, `{code="200",kind="app",site="b.dev"} 1`) {
		t.Error(said)
	}
	s := m.Snapshot()
	if got := s.Kinds[App].Classes; got != (Classes{2: 2, 5: 1}) {
		t.Errorf("all together: %v", got)
	}
	if len(s.Sites) != 2 || s.Sites[1].Name != "b.dev" || s.Sites[1].Classes != (Classes{2: 1, 5: 1}) {
		t.Errorf("sites: %+v", s.Sites)
	}
}

func TestReloads(t *testing.T) {
	var r Reloads
	m := New(Config{Reloads: func() Reloads { return r }})
	if said := scrape(t, m); !strings.Contains(said, "clerk_proxy_config_last_reload_successful 1") || strings.Contains(said, "reload_success_timestamp") {
		t.Error("before the first it has failed, or worked at some time")
	}
	r = Reloads{Succeeded: 3, Failed: 1, LastSuccess: time.Unix(1_800_000_000, 0)}
	for _, want := range []string{"config_last_reload_successful 1", "reload_success_timestamp_seconds 1.8e+09", `reloads_total{result="ok"} 3`} {
		if said := scrape(t, m); !strings.Contains(said, want) {
			t.Errorf("not said: %s", want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name     string
		took     []time.Duration
		quantile float64
		want     time.Duration
	}{
		{"of nothing", nil, 0.5, 0},
		{"a bound belongs to the bucket below it", []time.Duration{50 * ms}, 1, 50 * ms},
		{"in the middle of a bucket", []time.Duration{40 * ms, 41 * ms}, 0.5, 40 * ms},
		{"in the first bucket", []time.Duration{1, 1}, 0.5, 250 * time.Microsecond},
		{"the highest of many", slices.Concat(slices.Repeat([]time.Duration{ms}, 99), []time.Duration{time.Second}), 0.99, ms},
		{"longer than anything", []time.Duration{time.Hour}, 0.5, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h histogram
			for _, d := range tt.took {
				h.observe(d)
			}
			var d Durations
			d.add(&h)
			if got := d.Quantile(tt.quantile); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAHistogramAddsUp(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{time.Microsecond, 10 * time.Millisecond, 11 * time.Millisecond, time.Minute} {
		h.observe(d)
	}
	count, sum, buckets := h.read()
	if count != 4 || sum != (time.Minute+21*time.Millisecond+time.Microsecond).Seconds() {
		t.Errorf("got %d, %v", count, sum)
	}
	if buckets[0.01] != 2 || buckets[0.02] != 3 || buckets[30] != 3 || len(slices.Collect(maps.Keys(buckets))) != len(bounds) {
		t.Errorf("got %v", buckets)
	}
}

// A request costs a few additions and no memory.
func TestARequestAllocatesNothing(t *testing.T) {
	m := New(Config{})
	m.Site("app.dev")
	if n := testing.AllocsPerRun(100, func() {
		m.Site("app.dev").Request(Request{Kind: FrontendAPI, Status: 200, Bytes: 1900, Duration: 80 * time.Millisecond, Upstream: 79 * time.Millisecond})
		m.Decision("signed-in", "")
		m.Decision("handshake", "session-token-expired-refresh-fetch-error")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	m := New(Config{})
	m.Site("app.dev")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Site("app.dev").Request(Request{Kind: FrontendAPI, Status: 200, Bytes: 1900, Duration: 80 * time.Millisecond, Upstream: 79 * time.Millisecond})
		}
	})
}
