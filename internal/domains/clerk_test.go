package domains

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clerkproxy/clerkproxy/emulator"
)

const testKey = "sk_live_7Qm2vX9bTz4kLw8n"

// call is a request to the Backend API.
type call struct {
	method, path, body string
	// number counts the calls with this method, from 1.
	number int
}

// backend stands in for Clerk's Backend API, as a transport. It believes every
// proxy URL.
type backend struct {
	// between, when set, is given every call; serve answers it.
	between func(c call, serve func() (*http.Response, error)) (*http.Response, error)

	mu      sync.Mutex
	domains []*standInDomain
	calls   []call
}

type standInDomain struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	IsSatellite    bool     `json:"is_satellite"`
	FrontendAPIURL string   `json:"frontend_api_url"`
	ProxyURL       *string  `json:"proxy_url"`
	CNAMETargets   []record `json:"cname_targets"`
}

type record struct {
	Host     string `json:"host"`
	Value    string `json:"value"`
	Required bool   `json:"required"`
}

// newBackend has app.dev as dmn_app, and its satellite satellite.dev as dmn_satellite.
func newBackend() *backend {
	b := &backend{domains: []*standInDomain{
		{ID: "dmn_satellite", Name: "satellite.dev", IsSatellite: true},
		{ID: "dmn_app", Name: "app.dev", CNAMETargets: []record{{"clkmail.app.dev", "mail.x.clerk.services", true}}},
	}}
	for _, d := range b.domains {
		b.set(d, "")
		d.CNAMETargets = append(d.CNAMETargets, record{"clerk." + d.Name, "frontend-api.clerk.services", true})
	}
	return b
}

func (b *backend) set(d *standInDomain, proxyURL string) {
	d.ProxyURL, d.FrontendAPIURL = nil, "https://clerk."+d.Name
	if proxyURL != "" {
		d.ProxyURL, d.FrontendAPIURL = &proxyURL, proxyURL
	}
}

func (b *backend) domain(id string) *standInDomain {
	i := slices.IndexFunc(b.domains, func(d *standInDomain) bool { return d.ID == id })
	if i < 0 {
		return nil
	}
	return b.domains[i]
}

// give sets a domain's proxy URL behind everybody's back.
func (b *backend) give(id, proxyURL string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(b.domain(id), proxyURL)
}

// has returns a domain's proxy URL.
func (b *backend) has(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u := b.domain(id).ProxyURL; u != nil {
		return *u
	}
	return ""
}

func (b *backend) patches() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var bodies []string
	for _, c := range b.calls {
		if c.method == http.MethodPatch {
			bodies = append(bodies, c.path+" "+c.body)
		}
	}
	return bodies
}

func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	b.mu.Lock()
	c := call{r.Method, r.URL.Path, string(body), 1}
	for _, earlier := range b.calls {
		if earlier.method == c.method {
			c.number++
		}
	}
	b.calls = append(b.calls, c)
	b.mu.Unlock()

	serve := func() (*http.Response, error) { return b.serve(r, body) }
	if b.between != nil {
		return b.between(c, serve)
	}
	return serve()
}

func (b *backend) serve(r *http.Request, body []byte) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+testKey {
		return refuse(401, "clerk_key_invalid")
	}
	if r.Method == http.MethodGet && r.URL.Path == "/v1/domains" {
		return answer(200, map[string]any{"data": b.domains, "total_count": len(b.domains)})
	}
	d := b.domain(strings.TrimPrefix(r.URL.Path, "/v1/domains/"))
	if r.Method != http.MethodPatch || d == nil {
		return refuse(404, "resource_not_found")
	}
	var fields map[string]*string
	if err := json.Unmarshal(body, &fields); err != nil {
		return refuse(400, "request_body_invalid")
	}
	proxyURL, given := fields["proxy_url"]
	switch {
	case given && proxyURL == nil:
		b.set(d, "")
	case given:
		b.set(d, *proxyURL)
	}
	return answer(200, d)
}

func answer(status int, body any) (*http.Response, error) {
	encoded, err := json.Marshal(body)
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(string(encoded)))}, err
}

func page(status int, text string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text))}, nil
}

func refuse(status int, code string) (*http.Response, error) {
	return answer(status, map[string]any{"errors": []any{map[string]any{"code": code, "message": "short", "long_message": "Clerk's own words."}}, "clerk_trace_id": "trace1"})
}

var errNetwork = errors.New("the network is down")

func newTestClerk(origin, key string, transport http.RoundTripper) *Clerk {
	c, err := NewClerk(origin, key, transport)
	if err != nil {
		panic(err)
	}
	return c
}

func TestListHasThePrimaryDomainFirst(t *testing.T) {
	b := newBackend()
	b.give("dmn_satellite", "https://satellite.dev/__clerk")
	for _, origin := range []string{"", "https://api.clerk.com/", "https://api.clerk.com/v1"} {
		got, err := newTestClerk(origin, testKey, b).List(t.Context())
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: got %v, %v", origin, got, err)
		}
		if d := got[0]; d.ID != "dmn_app" || d.Satellite || d.ProxyURL != "" || d.FrontendAPIURL != "https://clerk.app.dev" ||
			!slices.Equal(d.CNAMEs, []CNAME{{"clkmail.app.dev", "mail.x.clerk.services", true}, {"clerk.app.dev", "frontend-api.clerk.services", true}}) {
			t.Errorf("got %+v", d)
		}
		if d := got[1]; d.ID != "dmn_satellite" || !d.Satellite || d.ProxyURL != "https://satellite.dev/__clerk" {
			t.Errorf("got %+v", d)
		}
	}
}

// The emulator is as strict about null as Clerk: what is left out changes nothing.
func TestAListThatIsNoneIsNotTakenForAnEmptyOne(t *testing.T) {
	for _, text := range []string{"null", "{}", `{"data":null}`, `[]`} {
		b := newBackend()
		b.between = func(call, func() (*http.Response, error)) (*http.Response, error) { return page(200, text) }
		domains, err := newTestClerk("", testKey, b).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), "does not answer as Clerk's Backend API does") {
			t.Errorf("%s: got %v, %v", text, domains, err)
		}
	}
}

func TestGoingBackToDNSSendsNull(t *testing.T) {
	const proxyURL = "http://localhost:8080/__clerk"
	emu, err := emulator.Start(emulator.Config{ProxyURLs: []string{proxyURL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(emu.Close)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = emu.RootCAs()
	t.Cleanup(transport.CloseIdleConnections)
	c := newTestClerk(emu.BackendAPI, emu.SecretKey, transport)
	id := emu.Domains()[0].ID
	if d, err := c.current(t.Context(), id); err != nil || d.ProxyURL != proxyURL {
		t.Fatalf("before: %+v, %v", d, err)
	}
	if d, err := c.setProxyURL(t.Context(), id, ""); err != nil || d.ProxyURL != "" || d.FrontendAPIURL != "https://clerk.example.com" {
		t.Errorf("after: %+v, %v", d, err)
	}
	if got := emu.Domains()[0].ProxyURL; got != "" {
		t.Errorf("the domain still has %s", got)
	}
}

func TestRequestIsWhatIsSentWithoutTheKey(t *testing.T) {
	b := newBackend()
	c := newTestClerk("https://api.clerk.com", testKey, b)
	for proxyURL, body := range map[string]string{
		"https://app.dev/__clerk": `{"proxy_url":"https://app.dev/__clerk"}`,
		"":                        `{"proxy_url":null}`,
	} {
		want := "PATCH https://api.clerk.com/v1/domains/dmn_app\nAuthorization: Bearer sk_live_…\nContent-Type: application/json\n\n" + body + "\n"
		if got := c.Request("dmn_app", proxyURL); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if _, err := c.setProxyURL(t.Context(), "dmn_app", proxyURL); err != nil {
			t.Fatal(err)
		}
		if sent := b.patches(); sent[len(sent)-1] != "/v1/domains/dmn_app "+body {
			t.Errorf("sent %s", sent[len(sent)-1])
		}
	}
}

func TestWhatClerkRefusesIsSaidInWordsAndInClerks(t *testing.T) {
	tests := []struct {
		name    string
		answer  func() (*http.Response, error)
		says    string
		certain bool
	}{
		{"another key", func() (*http.Response, error) { return refuse(401, "clerk_key_invalid") },
			"Clerk does not accept the secret key; copy it from the Clerk Dashboard, page API keys (Clerk says clerk_key_invalid: Clerk's own words.; trace trace1)", true},
		{"a proxy that does not work", func() (*http.Response, error) { return refuse(422, "invalid_proxy_configuration") },
			"Clerk has called the proxy, and finds that it does not work (Clerk says invalid_proxy_configuration: ", true},
		{"a URL that is not on the domain", func() (*http.Response, error) { return refuse(422, "form_param_format_invalid") },
			"Clerk does not take this proxy URL; it is https, on the domain", true},
		{"a development instance", func() (*http.Response, error) { return refuse(403, "domain_update_forbidden_code") },
			"Clerk lets only production instances use a proxy", true},
		{"a plan", func() (*http.Response, error) { return refuse(402, "unsupported_subscription_plan_features") },
			"the plan of the instance does not include this", true},
		{"something not allowed", func() (*http.Response, error) { return refuse(403, "forbidden") }, "Clerk does not allow this", true},
		{"a domain that is gone", func() (*http.Response, error) { return refuse(404, "resource_not_found") }, "Clerk does not know this domain", true},
		{"too many requests", func() (*http.Response, error) { return refuse(429, "too_many_requests") }, "wait a minute", true},
		{"too many requests, with a time", func() (*http.Response, error) {
			resp, err := refuse(429, "too_many_requests")
			resp.Header = http.Header{"Retry-After": {"30"}}
			return resp, err
		}, "wait 30s (", true},
		{"a code that nobody has heard of", func() (*http.Response, error) { return refuse(409, "new") }, "Clerk refuses (Clerk says new: ", true},
		{"a fault of Clerk's", func() (*http.Response, error) { return refuse(500, "internal_clerk_error") },
			"Clerk's Backend API has a fault of its own; try again later (Clerk says internal_clerk_error: ", false},
		{"a gateway's page", func() (*http.Response, error) { return page(502, "<html>"+testKey) },
			"Clerk's Backend API has a fault of its own; try again later (status 502)", false},
		{"a redirect", func() (*http.Response, error) { return page(301, "") }, "not Clerk's Backend API; look at CLERK_API_URL (status 301)", false},
		{"another server", func() (*http.Response, error) { return page(404, `{"message":"no such page"}`) }, "not Clerk's Backend API; look at CLERK_API_URL (status 404)", false},
		{"a page in place of an answer", func() (*http.Response, error) { return page(200, "<html>") }, "does not answer as Clerk's Backend API does", false},
		{"nothing", func() (*http.Response, error) { return page(200, "{}") }, "something that is not a domain", false},
		{"the end of the connection", func() (*http.Response, error) { return nil, io.EOF }, "https://api.clerk.com/v1 ended the connection without an answer", false},
		{"no network", func() (*http.Response, error) { return nil, errNetwork }, "asking Clerk's Backend API at https://api.clerk.com/v1: the network is down", false},
		{"an answer that echoes the key and plays with the terminal", func() (*http.Response, error) {
			return answer(400, map[string]any{"errors": []any{map[string]any{"code": "x", "message": "bad key " + testKey + "\x1b[2J\n" + strings.Repeat("a", 1000)}}})
		}, "Clerk refuses (Clerk says x: bad key sk_…[2J aaa", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend()
			b.between = func(call, func() (*http.Response, error)) (*http.Response, error) { return tt.answer() }
			_, err := newTestClerk("https://api.clerk.com", testKey, b).setProxyURL(t.Context(), "dmn_app", "https://app.dev/__clerk")
			if err == nil || !strings.Contains(err.Error(), tt.says) || certain(err) != tt.certain {
				t.Errorf("got %v, certain %v", err, certain(err))
			}
			if err != nil && (strings.Contains(err.Error(), testKey) || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 700) {
				t.Errorf("it should not say %q", err)
			}
		})
	}
}

// An answer without an end is not read to its end.
func TestAnswersAreBounded(t *testing.T) {
	b := newBackend()
	read := 0
	b.between = func(call, func() (*http.Response, error)) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(readerFunc(func(p []byte) (int, error) {
			read += len(p)
			if read > 10*maxAnswer {
				return 0, errors.New("read on and on")
			}
			return len(p), nil
		}))}, nil
	}
	if _, err := newTestClerk("https://api.clerk.com", testKey, b).List(t.Context()); err == nil || read > 2*maxAnswer {
		t.Errorf("read %d bytes, then %v", read, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestFind(t *testing.T) {
	app, satellite := Domain{ID: "dmn_1", Name: "app.dev"}, Domain{ID: "dmn_2", Name: "satellite.dev", Satellite: true}
	all := []Domain{app, satellite}
	tests := []struct {
		name    string
		domains []Domain
		wanted  string
		want    string
		says    []string
	}{
		{"by id", all, "dmn_2", "dmn_2", nil},
		{"by host", all, "app.dev", "dmn_1", nil},
		{"by host in capitals", all, "Satellite.DEV", "dmn_2", nil},
		{"an unknown one", all, "other.dev", "", []string{`no domain "other.dev"`, "app.dev (dmn_1, primary)", "satellite.dev (dmn_2, satellite)"}},
		{"a part of one", all, "dev", "", []string{`no domain "dev"`}},
		{"two of one name", append(all, Domain{ID: "dmn_3", Name: "APP.dev", Satellite: true}), "app.dev", "", []string{"several", "app.dev (dmn_1, primary)", "APP.dev (dmn_3, satellite)"}},
		{"an instance without any", nil, "app.dev", "", []string{"has no domain"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Find(tt.domains, tt.wanted)
			if got.ID != tt.want || (err != nil) != (tt.says != nil) {
				t.Fatalf("got %v, %v", got, err)
			}
			for _, says := range tt.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}
