package server

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
)

// answering is a site whose application says its name.
func answering(name string, hosts ...string) Site {
	return withKeys(Site{Name: name, Hosts: hosts, App: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, name)
	})})
}

func serving(sites ...Site) func(*Config) {
	return func(c *Config) { c.Sites = sites }
}

func TestTheSiteIsThatOfTheHost(t *testing.T) {
	f := start(t, Site{}, serving(
		answering("app", "app.dev"),
		answering("admin", "admin.app.dev", "app.dev:8443"),
		answering("previews", "*.app.dev"),
	))
	tests := []struct {
		name, host, forwardedHost string
		status                    int
		want                      string
	}{
		{name: "a name", host: "app.dev", status: 200, want: "app"},
		{name: "in capitals, with a port", host: "APP.dev:8080", status: 200, want: "app"},
		{name: "an entry with the port before one without", host: "app.dev:8443", status: 200, want: "admin"},
		{name: "a name before a domain", host: "admin.app.dev", status: 200, want: "admin"},
		{name: "a domain", host: "x.y.app.dev", status: 200, want: "previews"},
		{name: "the host that a trusted proxy reports", host: "10.0.0.1:8080", forwardedHost: "admin.app.dev", status: 200, want: "admin"},
		{name: "no site's", host: "evil.example", status: 421, want: "421 Misdirected Request: This server has no site of this host."},
		{name: "reported, but no site's", host: "app.dev", forwardedHost: "evil.example", status: 421},
		{name: "none that is valid", host: "app.dev", forwardedHost: "a/b", status: 400, want: "does not name a valid host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = tt.host
			if tt.forwardedHost != "" {
				r.Header.Set("X-Forwarded-Host", tt.forwardedHost)
			}
			resp, body := do(t, r)
			if resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, tt.status, tt.want)
			}
			a := await(t, f.access)
			if tt.status == 200 && (a.Site != tt.want || a.Target != TargetApp) || tt.status != 200 && (a.Site != "" || a.Target != TargetNone) {
				t.Errorf("got %+v", a)
			}
		})
	}
	if entries := f.log.entries(t, "request"); entries[0]["site"] != "app" {
		t.Errorf("got %v", entries[0])
	}
}

func TestASiteWithoutHostsTakesAllOthers(t *testing.T) {
	f := start(t, Site{}, serving(answering("app", "app.dev"), answering("rest")))
	for host, want := range map[string]string{"app.dev": "app", "other.example": "rest", "a b": "rest"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-Host", host)
		if _, body := do(t, r); body != want {
			t.Errorf("%s: got %q, want %q", host, body, want)
		}
	}
}

func TestEachSiteHasItsOwnKeysAndPath(t *testing.T) {
	fapi := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path+" "+r.Header.Get("Clerk-Proxy-Url")+" "+r.Header.Get("Clerk-Secret-Key"))
	})
	site := func(host, path, secret string) Site {
		return Site{Hosts: []string{host}, Proxy: clerkproxy.Config{
			PublishableKey: publishableKey, SecretKey: secret, ProxyURL: path, FrontendAPIURL: fapi.String(),
		}}
	}
	f := start(t, Site{}, serving(site("app.dev", "/__clerk", "sk_live_one"), site("shop.dev", "/auth", "sk_live_two")))
	for _, tt := range []struct{ host, path, want string }{
		{"app.dev", "/__clerk/v1/client", "/v1/client http://app.dev/__clerk sk_live_one"},
		{"shop.dev", "/auth/v1/client", "/v1/client http://shop.dev/auth sk_live_two"},
		{"shop.dev", "/__clerk/v1/client", "404 Not Found: This server answers under /auth only"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = tt.host
		if _, body := do(t, r); !strings.HasPrefix(body, tt.want) {
			t.Errorf("%s%s: got %q, want %q", tt.host, tt.path, body, tt.want)
		}
	}
}

func TestSitesThatDoNotGoTogether(t *testing.T) {
	t.Setenv("CLERK_SECRET_KEY", "")
	tests := []struct {
		name  string
		sites []Site
		want  []string
	}{
		{"none", nil, []string{"clerkproxy: Sites: is empty"}},
		{"a host twice", []Site{answering("one", "app.dev"), answering("two", "APP.dev")},
			[]string{`site 1: clerkproxy: Hosts: app.dev is there twice, for site "one" too`}},
		{"a domain twice", []Site{answering("one", "*.app.dev"), answering("two", "*.app.dev")},
			[]string{`site 1: clerkproxy: Hosts: *.app.dev is there twice`}},
		{"a host twice in one", []Site{answering("one", "app.dev", "app.dev")}, []string{`site 0: clerkproxy: Hosts: app.dev is there twice`}},
		{"two that take the rest", []Site{answering("one"), answering("two")},
			[]string{`site 1: clerkproxy: Hosts: is missing: one site at most takes the hosts that no other has, and that is "one"`}},
		{"a name twice", []Site{answering("one", "app.dev"), answering("one", "shop.dev")},
			[]string{`site 1: clerkproxy: Name: "one" is the name of another site too`}},
		{"problems of their own, all at once", []Site{{Hosts: []string{"a b"}, Proxy: clerkproxy.Config{SecretKey: secretKey, PublishableKey: "x"}}, {Proxy: clerkproxy.Config{PublishableKey: publishableKey}}},
			[]string{"site 0: clerkproxy: PublishableKey (CLERK_PUBLISHABLE_KEY): not a publishable key", "site 0: clerkproxy: Hosts: \"a b\" is not a host", "site 1: clerkproxy: SecretKey (CLERK_SECRET_KEY): is missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(Config{Sites: tt.sites})
			problems := Problems(err)
			if len(problems) != len(tt.want) {
				t.Fatalf("got %v", err)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(problems[i].Error(), want) {
					t.Errorf("got %v, want %s", problems[i], want)
				}
			}
		})
	}
}

func TestWhomToBelieveIsSaidOnce(t *testing.T) {
	_, err := New(Config{ClientIPHeader: "X Y", Sites: []Site{answering("one", "app.dev"), answering("two")}})
	problem, ok := errors.AsType[*clerkproxy.ConfigError](err)
	if len(Problems(err)) != 1 || !ok || problem.Field != "ClientIPHeader" || errors.As(err, new(*SiteError)) {
		t.Errorf("got %v", err)
	}
}
