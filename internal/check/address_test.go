package check

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Whatever can be known of the address is said, and what cannot is not guessed.
func TestTheAddressIsJudged(t *testing.T) {
	const (
		proxy  = "203.0.113.10" // of the proxy's host
		here   = "198.51.100.7" // this machine's, without translation
		home   = "192.168.1.5"  // this machine's, behind a router
		router = "198.51.100.9" // that router's, which the world sees
		other  = "198.51.100.99"
	)
	tests := []struct {
		name                string
		told, local, remote string
		own                 []string
		public              string
		guessed             bool
		want                Status
		says                string
	}{
		{name: "of the connection", told: here, local: here, remote: proxy, want: OK, says: "this machine's address"},
		{name: "another of this machine's", told: "2001:db8::7", local: here, remote: proxy, own: []string{"127.0.0.1", here, "2001:db8::7"}, want: OK},
		{name: "of the connection, on loopback", told: "127.0.0.1", local: "127.0.0.1", remote: "127.0.0.1", want: OK},
		{name: "within a network", told: home, local: home, remote: "192.168.1.1", want: OK},

		{name: "the proxy's", told: proxy, local: here, remote: proxy, want: Fail, says: "an address of the proxy itself, though this machine is " + here},
		{name: "that of something in front", told: other, local: here, remote: proxy, want: Fail, says: "something between this machine and the proxy"},
		{name: "a private one", told: "10.0.0.3", local: here, remote: proxy, want: Fail, says: "10.0.0.3"},
		{name: "loopback", told: "127.0.0.1", local: here, remote: proxy, own: []string{"127.0.0.1", here}, want: Fail, says: "the proxy's own machine"},
		{name: "loopback, behind a router", told: "127.0.0.1", local: home, remote: proxy, own: []string{"127.0.0.1", home}, want: Fail, says: "the proxy's own machine"},
		{name: "another of loopback's", told: "127.0.0.2", local: "127.0.0.1", remote: "127.0.0.3", own: []string{"127.0.0.1"}, want: Fail},
		{name: "none", told: "", local: here, remote: proxy, want: Fail, says: "an address that is none"},

		{name: "behind a router, known", told: router, local: home, remote: proxy, public: router, want: OK, says: "the world sees"},
		{name: "behind a router, found out", told: router, local: home, remote: proxy, public: router, guessed: true, want: OK},
		{name: "behind a router, not known", told: router, local: home, remote: proxy, want: Warn, says: "address translation"},
		{name: "behind a router, known to be another", told: other, local: home, remote: proxy, public: router, want: Fail, says: "the world sees this machine as " + router},
		{name: "behind a router, perhaps another", told: other, local: home, remote: proxy, public: router, guessed: true, want: Warn, says: "a carrier uses several"},
		{name: "behind a router, the proxy's", told: proxy, local: home, remote: proxy, public: router, guessed: true, want: Fail, says: "an address of the proxy itself"},
		{name: "behind a router, the proxy's or the router's", told: proxy, local: home, remote: proxy, want: Warn, says: "behind the same router"},
		{name: "behind the proxy's own router", told: proxy, local: home, remote: proxy, public: proxy, guessed: true, want: OK},
		{name: "behind a router, a private one", told: "10.0.0.3", local: home, remote: proxy, public: router, want: Warn, says: "a private address"},
		{name: "behind a carrier's translation", told: router, local: "100.64.3.4", remote: proxy, want: Warn, says: "address translation"},
		{name: "within a network, another's", told: "192.168.1.1", local: home, remote: "192.168.1.2", want: Warn, says: "a private address"},

		{name: "over another machine", told: router, want: Warn, says: "address translation"},
		{name: "over another machine, loopback", told: "127.0.0.1", want: Warn, says: "a private address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sight{text: tt.told, told: addr(tt.told), local: addr(tt.local), remote: addr(tt.remote), public: addr(tt.public), guessed: tt.guessed,
				proxies: []netip.Addr{addr(proxy)}, advice: "do something"}
			for _, own := range tt.own {
				s.own = append(s.own, addr(own))
			}
			if f := s.judge(); f.status != tt.want || !strings.Contains(f.seen, tt.says) || f.status != OK && !strings.Contains(f.advice, "do something") {
				t.Errorf("got %+v, want %s, %q", f, tt.want, tt.says)
			}
		})
	}
}

func addr(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}

// What is in front says who it is, and each has a header of its own.
func TestTheAdviceNamesTheNetworkInFront(t *testing.T) {
	for header, want := range map[string]string{
		"Cf-Ray: 8a":                "--client-ip-header CF-Connecting-IP",
		"Server: cloudflare":        "--client-ip-header CF-Connecting-IP",
		"X-Amz-Cf-Id: x":            "--client-ip-header CloudFront-Viewer-Address",
		"Fly-Request-Id: x":         "--client-ip-header Fly-Client-IP",
		"X-Served-By: cache-fra-1":  "--client-ip-header Fastly-Client-IP",
		"X-Akamai-Request-Id: x":    "--client-ip-header True-Client-IP",
		"Server: nginx":             "--trusted-proxies with its addresses",
		"X-Served-By: app-server-1": "--trusted-proxies with its addresses",
	} {
		name, value, _ := strings.Cut(header, ": ")
		if got := addressAdvice(&answer{header: http.Header{name: {value}}}); !strings.Contains(got, want) {
			t.Errorf("%s: %s", header, got)
		}
	}
}

// Cloudflare tells the address that it sees, in front of Clerk.
func TestThePublicAddressIsFoundOut(t *testing.T) {
	for body, want := range map[string]string{
		"fl=1\nip=198.51.100.9\nts=1\n": "198.51.100.9",
		"ip=2001:db8::1\n":              "invalid IP", // the proxy was asked over IPv4
		"ip=10.0.0.1\n":                 "invalid IP",
		"ip=none\n":                     "invalid IP",
		"<html>":                        "invalid IP",
	} {
		clerk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/cdn-cgi/trace" {
				fmt.Fprint(w, body)
			}
		}))
		c := &checker{clerk: newClient(clerk.URL, nil, time.Second), healthy: &health{ForwardedFor: "198.51.100.9"}}
		if got := c.publicAddress(t.Context()).String(); got != want {
			t.Errorf("%q: got %s, want %s", body, got, want)
		}
		clerk.Close()
	}
}

// Who may be a trusted proxy is not accused of being believed.
func TestSpoofingIsJudged(t *testing.T) {
	tests := []struct {
		name         string
		remote, told string
		stranger     bool
		won          []string
		want         Status
		says         string
	}{
		{"nothing wins", "203.0.113.10", "198.51.100.7", false, nil, OK, ""},
		{"nothing wins from within", "10.0.0.2", "10.0.0.3", false, nil, OK, ""},
		{"it wins from outside", "203.0.113.10", "198.51.100.7", false, []string{"Forwarded"}, Fail, "the header Forwarded"},
		{"several win", "203.0.113.10", "198.51.100.7", false, []string{"X-Real-IP", "True-Client-IP"}, Fail, "X-Real-IP and True-Client-IP"},
		{"it wins on loopback", "127.0.0.1", "127.0.0.1", false, []string{"X-Forwarded-For"}, Skipped, "run this check from elsewhere"},
		{"it wins within a network", "10.0.0.2", "10.0.0.3", false, []string{"X-Forwarded-For"}, Skipped, ""},
		{"it wins by way of the public address", "203.0.113.10", "10.0.0.3", false, []string{"X-Forwarded-For"}, Skipped, ""},
		{"it wins within a network, for a stranger", "10.0.0.2", "10.0.0.3", true, []string{"X-Forwarded-For"}, Fail, "X-Forwarded-For"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &checker{Config: Config{Stranger: tt.stranger}, healthy: &health{answer: &answer{remote: addr(tt.remote)}, ForwardedFor: tt.told}}
			if f := c.judgeSpoofing(tt.won); f.status != tt.want || !strings.Contains(f.seen, tt.says) {
				t.Errorf("got %+v, want %s", f, tt.want)
			}
		})
	}
}

// Over an egress proxy nothing is known of the connection to the proxy.
func TestAnEgressProxyIsNotTakenForTheProxy(t *testing.T) {
	var asked []string
	egress := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Host)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>Acme</title>")
	}))
	defer egress.Close()
	c, err := newChecker(Config{ProxyURL: "http://app.dev/__clerk"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	r, err := http.NewRequest(http.MethodGet, egress.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.proxy.transport.Proxy = http.ProxyURL(r.URL)
	for name, look := range map[string]func(context.Context) finding{"name": c.name, "connection": c.connection} {
		if f := look(t.Context()); f.status != Skipped || !strings.Contains(f.seen, "HTTPS_PROXY") {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := c.path(t.Context()); !strings.Contains(f.seen, "Acme") || len(asked) != 1 || asked[0] != "app.dev" {
		t.Errorf("%+v, asked %v", f, asked)
	}
}

// One that does not let this machine out says nothing of the proxy.
func TestAnEgressProxyThatIsShut(t *testing.T) {
	shut := httptest.NewServer(http.NotFoundHandler())
	r, err := http.NewRequest(http.MethodGet, shut.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	shut.Close()
	clerk := httptest.NewServer(http.NotFoundHandler())
	defer clerk.Close()
	for _, reachable := range []bool{false, true} {
		c, err := newChecker(Config{ProxyURL: "https://app.dev/__clerk", FrontendAPIURL: clerk.URL})
		if err != nil {
			t.Fatal(err)
		}
		c.proxy.transport.Proxy = http.ProxyURL(r.URL)
		if !reachable {
			c.clerk.transport.Proxy = c.proxy.transport.Proxy
		}
		f := c.path(t.Context())
		if f.status != Fail || !strings.Contains(f.advice, "HTTPS_PROXY") {
			t.Errorf("got %+v", f)
		}
		if offline := c.offline != nil; offline == reachable {
			t.Errorf("Clerk reachable is %v, and there is no network: %v", reachable, c.offline)
		}
		c.close()
	}
}
