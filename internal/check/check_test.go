package check

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
)

func TestEveryProblemOfTheConfigurationIsNamed(t *testing.T) {
	err := Config{ProxyURL: "/__clerk", DomainID: "app.dev", FrontendAPIURL: "http://frontend-api.clerk.dev", BackendAPIURL: "https://user:swordfish@api.clerk.com", Timeout: -1}.Validate()
	for _, want := range []string{
		"ProxyURL: is a path; write the whole URL", "https://app.dev/__clerk",
		"DomainID: is not the id of a domain",
		"FrontendAPIURL: is plain http to another machine",
		"BackendAPIURL: is not an absolute http or https URL without credentials",
		"Timeout: is negative",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "swordfish") {
		t.Errorf("it holds a password: %v", err)
	}
	if _, is := errors.AsType[*ConfigError](err); !is {
		t.Errorf("it is a %T", err)
	}
	for _, proxyURL := range []string{"", "app.dev/__clerk", "https://app.dev", "ftp://app.dev/__clerk", "https://u:p@app.dev/__clerk", "https://app.dev/__clerk?x"} {
		if (Config{ProxyURL: proxyURL}).Validate() == nil {
			t.Errorf("%q is accepted", proxyURL)
		}
	}
	for _, proxyURL := range []string{"https://app.dev/__clerk", "https://app.dev/__clerk/", "http://localhost:8080/api/clerk", "https://[::1]:8443/__clerk"} {
		if err := (Config{ProxyURL: proxyURL, BackendAPIURL: "https://api.clerk.com/v1"}).Validate(); err != nil {
			t.Errorf("%q: %v", proxyURL, err)
		}
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	defer proxy.Close()
	if _, err := Run(ctx, Config{ProxyURL: proxy.URL + "/__clerk"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestStepsAreAnnouncedInOrder(t *testing.T) {
	proxy := httptest.NewServer(http.NotFoundHandler())
	defer proxy.Close()
	var told []string
	report, err := Run(t.Context(), Config{
		ProxyURL:       proxy.URL + "/__clerk/",
		FrontendAPIURL: proxy.URL,
		OnStart:        func(name string) { told = append(told, "start "+name) },
		OnStep:         func(s Step) { told = append(told, "step "+s.Name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range report.Steps {
		want = append(want, "start "+s.Name, "step "+s.Name)
	}
	if !slices.Equal(told, want) || report.ProxyURL != proxy.URL+"/__clerk" || report.Status != Fail {
		t.Errorf("told %v of %+v", told, report)
	}
}

// Programs know steps by their names, which the guide promises to keep.
func TestStepsKeepTheirNames(t *testing.T) {
	var names []string
	for _, s := range new(checker).steps() {
		names = append(names, s.name)
	}
	const want = "keys name connection certificate path domain health address spoofing environment cookies posts redirects clerkjs caching secrecy acceptance latency"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAReportIsJSON(t *testing.T) {
	r := Report{ProxyURL: "https://app.dev/__clerk", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.add(Step{"keys", OK, "fine", ""})
	r.add(Step{"name", Warn, "odd", "do this"})
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"proxy_url":"https://app.dev/__clerk","at":"2026-01-02T03:04:05Z","status":"warn","enabled":false,"steps":[` +
		`{"name":"keys","status":"ok","seen":"fine"},{"name":"name","status":"warn","seen":"odd","advice":"do this"}]}`
	if string(encoded) != want {
		t.Errorf("got  %s\nwant %s", encoded, want)
	}
}

// What comes from outside may hold keys, and more than a terminal should see.
func TestWhatIsShownIsHarmless(t *testing.T) {
	c := &checker{Config: Config{SecretKey: "sk_live_abc"}}
	for text, want := range map[string]string{
		"a key sk_live_abc here":             "a key sk_… here",
		"another, sk_live_0123456789abcdef.": "another, sk_live_….",
		"a test key sk_test_0123456789":      "a test key sk_test_…",
		"two\nlines and \x1b[31mred\x07":     "two lines and [31mred",
		"right to left \u202ereversed":       "right to left reversed",
	} {
		if got := c.shown(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := quoted(strings.Repeat("ä", 500)); len([]rune(got)) > maxQuote+3 {
		t.Errorf("%d characters are quoted", len([]rune(got)))
	}
}

// A host has several addresses, of which one does not answer.
func TestAnAddressThatDoesNotAnswerIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	target := &url.URL{Scheme: "http", Host: "app.dev:" + port(listener.Addr())}
	c := &checker{
		target: target, host: "app.dev", timeout: time.Second, proxy: newClient("http://127.0.0.1", nil, time.Second),
		addresses: []netip.Addr{addr("127.0.0.1"), addr("127.0.0.2")},
	}
	f := c.connection(t.Context())
	if f.status != Warn || !strings.Contains(f.seen, "of 127.0.0.2 (it refuses the connection) nothing does") {
		t.Errorf("got %+v", f)
	}
	if len(c.reachable) != 1 || c.reachable[0] != addr("127.0.0.1") {
		t.Errorf("reachable are %v", c.reachable)
	}
}

func port(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// Without a network there is nothing to report.
func TestAMachineWithoutANetwork(t *testing.T) {
	clerk := httptest.NewServer(http.NotFoundHandler())
	c := &checker{target: &url.URL{Host: "app.dev"}, clerk: newClient(clerk.URL, nil, time.Second)}
	cause := errors.New("no such thing")
	if err := c.noNetwork(t.Context(), cause); err != nil {
		t.Errorf("Clerk can be reached: %v", err)
	}
	c.clerk.transport.CloseIdleConnections()
	clerk.Close()
	if err := c.noNetwork(t.Context(), cause); !errors.Is(err, cause) || !strings.Contains(err.Error(), "neither app.dev nor Clerk") {
		t.Errorf("got %v", err)
	}
}

func TestBodiesAreDecoded(t *testing.T) {
	plain := bytes.Repeat([]byte("clerk "), 1000)
	gz, br := compress(t, plain, "gzip"), compress(t, plain, "br")
	tests := []struct {
		name   string
		fields []string
		body   []byte
		fails  bool
	}{
		{"none", nil, plain, false},
		{"identity", []string{"identity"}, plain, false},
		{"gzip", []string{"gzip"}, gz, false},
		{"brotli", []string{"BR"}, br, false},
		{"both, in this order", []string{"br, gzip"}, compress(t, br, "gzip"), false},
		{"both, on two lines", []string{"br", "gzip"}, compress(t, br, "gzip"), false},
		{"gzip cut off", []string{"gzip"}, gz[:len(gz)-10], true},
		{"brotli cut off", []string{"br"}, br[:len(br)-5], true},
		{"not gzip", []string{"gzip"}, plain, true},
		{"what nobody asked for", []string{"zstd"}, plain, true},
		{"a bomb", []string{"gzip"}, compress(t, make([]byte, maxPlain+1), "gzip"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode(tt.fields, tt.body)
			if (err != nil) != tt.fails || err == nil && !bytes.Equal(got, plain) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func compress(t *testing.T, plain []byte, coding string) []byte {
	t.Helper()
	var b bytes.Buffer
	if coding == "br" {
		w := brotli.NewWriter(&b)
		_, _ = w.Write(plain)
		_ = w.Close()
	} else {
		w := gzip.NewWriter(&b)
		_, _ = w.Write(plain)
		_ = w.Close()
	}
	return b.Bytes()
}

// A comma in a cookie says nothing by itself.
func TestFoldedCookies(t *testing.T) {
	for line, want := range map[string]bool{
		"__client_uat=0; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT":                  false,
		"__client_uat=0; Path=/, __client_uat_ab12CD34=0; Path=/":                        true,
		"__client=x; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly,__client_uat=0":     true,
		"_cfuvid=x; path=/, __cf_bm=y; path=/":                                           true,
		"cart=a,b=c; Path=/":                                                             false,
		"__client_uat=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Domain=app.dev":  false,
		"other=1, __session_ab12CD34=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT":    true,
		"preferences={\"a\":1, \"__client\": 2}; Path=/":                                 false,
		"__clerk_handshake_nonce=x; Path=/, __clerk_redirect_count=1; SameSite=Lax; x=1": true,
	} {
		if got := folded.MatchString(line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestHostsAndDomains(t *testing.T) {
	url1, other := "https://app.dev/__clerk", "https://app.dev/other"
	domains := []clerkDomain{
		{ID: "dmn_primary", Name: "app.dev"},
		{ID: "dmn_satellite", Name: "shop.app.dev", IsSatellite: true, ProxyURL: &other},
		{ID: "dmn_proxied", Name: "proxied.dev", IsSatellite: true, ProxyURL: &url1},
	}
	for _, tt := range []struct{ name, proxyURL, id, want string }{
		{"the one with this proxy URL", url1, "", "dmn_proxied"},
		{"the one that the host is", "https://app.dev/clerk", "", "dmn_primary"},
		{"the one that the host is below", "https://www.APP.dev/clerk", "", "dmn_primary"},
		{"the longest that the host is below", "https://www.shop.app.dev/clerk", "", "dmn_satellite"},
		{"the primary one for this machine", "http://localhost:8080/clerk", "", "dmn_primary"},
		{"the one that is given", "https://app.dev/clerk", "dmn_satellite", "dmn_satellite"},
		{"none with the id that is given", "https://app.dev/clerk", "dmn_x", ""},
		{"none for another host", "https://notapp.dev/clerk", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := newChecker(Config{ProxyURL: tt.proxyURL, DomainID: tt.id})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if d := c.domainAmong(domains); d != nil {
				got = d.ID
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Whose answer it is, decides what is said about it.
func TestAnswersOfTheFrontendAPIAreKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		a    answer
		want bool
	}{
		"by its trace id":            {answer{status: 503, header: http.Header{"X-Clerk-Trace-Id": {"x"}}}, true},
		"by the one in its body":     {answer{status: 500, plain: []byte(`{"errors":[{"code":"x"}],"clerk_trace_id":"x"}`)}, true},
		"by its settings":            {answer{status: 200, plain: []byte(`{"auth_config":{},"display_config":{}}`)}, true},
		"by its error":               {answer{status: 400, plain: []byte(`{"errors":[{"code":"host_invalid"}]}`)}, true},
		"an error of a proxy's":      {answer{status: 400, plain: []byte(`{"errors":[{"code":"proxy_path_mismatch"}]}`)}, false},
		"an error of an application": {answer{status: 400, plain: []byte(`{"errors":["no"]}`)}, false},
		"a page":                     {answer{status: 200, plain: []byte(`<title>host_invalid</title>`)}, false},
	} {
		if got := tt.a.fromClerk(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHTTP10IsNoticed(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.0 400 Bad Request\r\nContent-Type: application/json\r\n\r\n" + `{"errors":[{"code":"host_invalid"}]}`))
	}))
	defer proxy.Close()
	c, err := newChecker(Config{ProxyURL: proxy.URL + "/__clerk"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if f := c.path(t.Context()); f.status != Warn || !strings.Contains(f.seen, "HTTP/1.0") {
		t.Errorf("got %+v", f)
	}
}

func TestLatencyIsJudged(t *testing.T) {
	for _, tt := range []struct {
		through, direct time.Duration
		want            Status
	}{
		{40 * time.Millisecond, 30 * time.Millisecond, OK},
		{480 * time.Millisecond, 20 * time.Millisecond, OK}, // it may be far from here
		{900 * time.Millisecond, 30 * time.Millisecond, Warn},
		{900 * time.Millisecond, 700 * time.Millisecond, OK},
	} {
		if f := judgeLatency(tt.through, tt.direct); f.status != tt.want {
			t.Errorf("%s through, %s directly: %+v", tt.through, tt.direct, f)
		}
	}
}
