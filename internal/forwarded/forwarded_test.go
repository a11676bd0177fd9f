package forwarded

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClientIP(t *testing.T) {
	const loopback = "127.0.0.1:1234"
	public := "203.0.113.9:4321"
	tests := []struct {
		name         string
		remote       string
		header       http.Header
		clientHeader string
		none         bool // trust nobody
		want         string
	}{
		{name: "an untrusted peer is the client", remote: public, want: "203.0.113.9"},
		{name: "an untrusted peer cannot say otherwise", remote: public,
			header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}, want: "203.0.113.9"},
		{name: "an untrusted peer cannot use the client address header", remote: public, clientHeader: "Cf-Connecting-Ip",
			header: http.Header{"Cf-Connecting-Ip": {"198.51.100.1"}}, want: "203.0.113.9"},
		{name: "a trusted peer without headers is the client", remote: "10.1.2.3:80", want: "10.1.2.3"},
		{name: "a trusted peer reports the client", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}, want: "198.51.100.1"},
		{name: "with nobody trusted, loopback cannot say otherwise", remote: loopback, none: true,
			header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}, want: "127.0.0.1"},
		{name: "the leftmost entry is the client's to invent", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"6.6.6.6, 198.51.100.1"}}, want: "198.51.100.1"},
		{name: "trusted proxies are walked past", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"6.6.6.6, 198.51.100.1, 10.0.0.2,192.168.1.1"}}, want: "198.51.100.1"},
		{name: "several lines are one list", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"6.6.6.6", "198.51.100.1", "10.0.0.2"}}, want: "198.51.100.1"},
		{name: "all trusted: the leftmost is the client", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"10.0.0.7, 10.0.0.8"}}, want: "10.0.0.7"},
		{name: "what does not parse ends the walk", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"198.51.100.1, unknown, 10.0.0.8"}}, want: "10.0.0.8"},
		{name: "nothing that parses leaves the peer", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"<script>"}}, want: "127.0.0.1"},
		{name: "an empty header leaves the peer", remote: loopback, header: http.Header{"X-Forwarded-For": {""}}, want: "127.0.0.1"},
		{name: "an empty last entry ends the walk", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"198.51.100.1,"}}, want: "127.0.0.1"},
		{name: "ports are left out", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"198.51.100.1:5555"}}, want: "198.51.100.1"},
		{name: "IPv6 in brackets", remote: loopback, header: http.Header{"X-Forwarded-For": {"[2001:DB8::1]"}}, want: "2001:db8::1"},
		{name: "IPv6 in brackets with a port", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"[2001:db8::1]:443"}}, want: "2001:db8::1"},
		{name: "IPv6 is written in canonical form", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"2001:0DB8:0:0:0:0:0:1"}}, want: "2001:db8::1"},
		{name: "IPv4 mapped to IPv6 is IPv4", remote: loopback,
			header: http.Header{"X-Forwarded-For": {"::ffff:198.51.100.1"}}, want: "198.51.100.1"},
		{name: "zones are left out", remote: "[fe80::1%eth0]:80", want: "fe80::1"},
		{name: "a mapped loopback peer is trusted", remote: "[::ffff:127.0.0.1]:80",
			header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}, want: "198.51.100.1"},
		{name: "an unspecified address is none", remote: loopback, header: http.Header{"X-Forwarded-For": {"0.0.0.0"}}, want: "127.0.0.1"},
		{name: "a Unix socket counts as loopback", remote: "@", header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}, want: "198.51.100.1"},
		{name: "a peer that is no address is not trusted", remote: "somewhere",
			header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}, want: "invalid IP"},
		{name: "the client address header wins", remote: loopback, clientHeader: "Cf-Connecting-Ip",
			header: http.Header{"Cf-Connecting-Ip": {"198.51.100.1"}, "X-Forwarded-For": {"6.6.6.6"}}, want: "198.51.100.1"},
		{name: "it is not read unless configured", remote: loopback,
			header: http.Header{"Cf-Connecting-Ip": {"6.6.6.6"}}, want: "127.0.0.1"},
		{name: "twice, it is nobody's", remote: loopback, clientHeader: "X-Real-Ip",
			header: http.Header{"X-Real-Ip": {"6.6.6.6", "198.51.100.1"}}, want: "127.0.0.1"},
		{name: "missing, X-Forwarded-For is walked", remote: loopback, clientHeader: "X-Real-Ip",
			header: http.Header{"X-Forwarded-For": {"6.6.6.6, 198.51.100.1"}}, want: "198.51.100.1"},
		{name: "CloudFront writes a port", remote: loopback, clientHeader: "Cloudfront-Viewer-Address",
			header: http.Header{"Cloudfront-Viewer-Address": {"198.51.100.1:46532"}}, want: "198.51.100.1"},
		{name: "CloudFront writes IPv6 without brackets", remote: loopback, clientHeader: "Cloudfront-Viewer-Address",
			header: http.Header{"Cloudfront-Viewer-Address": {"2001:db8::1:46532"}}, want: "2001:db8::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Policy{Trusted: DefaultTrustedProxies(), ClientIPHeader: tt.clientHeader}
			if tt.none {
				p.Trusted = nil
			}
			r := httptest.NewRequest("GET", "http://app.dev/", nil)
			r.RemoteAddr = tt.remote
			for name, values := range tt.header {
				r.Header[name] = values
			}
			if got := p.Source(r).ClientIP.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	tests := []struct {
		name, remote, host string
		tls                bool
		header             http.Header
		want               string // empty: no valid host
	}{
		{name: "from Host", remote: "203.0.113.9:1", host: "app.dev", want: "http://app.dev"},
		{name: "from Host and TLS", remote: "203.0.113.9:1", host: "app.dev", tls: true, want: "https://app.dev"},
		{name: "in lower case", remote: "203.0.113.9:1", host: "App.DEV", want: "http://app.dev"},
		{name: "with a port", remote: "203.0.113.9:1", host: "app.dev:8080", want: "http://app.dev:8080"},
		{name: "without the scheme's port", remote: "203.0.113.9:1", host: "app.dev:443", tls: true, want: "https://app.dev"},
		{name: "IPv6", remote: "203.0.113.9:1", host: "[2001:DB8::1]:8080", want: "http://[2001:db8::1]:8080"},
		{name: "an untrusted peer cannot choose it", remote: "203.0.113.9:1", host: "app.dev",
			header: http.Header{"X-Forwarded-Host": {"evil.com"}, "X-Forwarded-Proto": {"https"}}, want: "http://app.dev"},
		{name: "a trusted peer reports it", remote: "10.0.0.1:1", host: "internal:8080",
			header: http.Header{"X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Proto": {"https"}}, want: "https://app.dev"},
		{name: "a trusted peer reports the scheme alone", remote: "10.0.0.1:1", host: "app.dev",
			header: http.Header{"X-Forwarded-Proto": {"HTTPS"}}, want: "https://app.dev"},
		{name: "a trusted peer takes TLS away", remote: "10.0.0.1:1", host: "app.dev", tls: true,
			header: http.Header{"X-Forwarded-Proto": {"http"}}, want: "http://app.dev"},
		{name: "a scheme that is none is disregarded", remote: "10.0.0.1:1", host: "app.dev",
			header: http.Header{"X-Forwarded-Proto": {"javascript"}}, want: "http://app.dev"},
		{name: "the first of several", remote: "10.0.0.1:1", host: "internal",
			header: http.Header{"X-Forwarded-Host": {"app.dev, internal"}, "X-Forwarded-Proto": {"https, http"}}, want: "https://app.dev"},
		{name: "a reported host that is none", remote: "10.0.0.1:1", host: "app.dev",
			header: http.Header{"X-Forwarded-Host": {"evil.com/x"}}},
		{name: "no host", remote: "203.0.113.9:1", host: ""},
		{name: "a host with a path", remote: "203.0.113.9:1", host: "app.dev/x"},
		{name: "a host with credentials", remote: "203.0.113.9:1", host: "user@app.dev"},
		{name: "a host with a bad port", remote: "203.0.113.9:1", host: "app.dev:99999"},
		{name: "a host with an empty port", remote: "203.0.113.9:1", host: "app.dev:"},
		{name: "a host that is not ASCII", remote: "203.0.113.9:1", host: "äpp.dev"},
		{name: "unclosed brackets", remote: "203.0.113.9:1", host: "[::1"},
		{name: "IPv4 in brackets", remote: "203.0.113.9:1", host: "[127.0.0.1]"},
		{name: "empty labels", remote: "203.0.113.9:1", host: "app..dev"},
	}
	p := Policy{Trusted: DefaultTrustedProxies()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Host: tt.host, RemoteAddr: tt.remote, Header: tt.header}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			s := p.Source(r)
			switch {
			case tt.want == "" && s.Host != "":
				t.Errorf("got %s, want no host", s.Origin())
			case tt.want != "" && s.Origin() != tt.want:
				t.Errorf("got %s, want %s", s.Origin(), tt.want)
			}
		})
	}
}

func TestHostSet(t *testing.T) {
	set, _, ok := ParseHostSet([]string{"App.dev", "admin.app.dev:8443", "*.preview.dev", "*.port.dev:8080", "shop.dev:443"})
	if !ok {
		t.Fatal("not parsed")
	}
	for host, want := range map[string]bool{
		"https://app.dev":              true,
		"http://app.dev:8080":          true,
		"https://evil.dev":             false,
		"https://app.dev.evil.com":     false,
		"https://notapp.dev":           false,
		"https://admin.app.dev:8443":   true,
		"https://admin.app.dev":        false,
		"https://a.preview.dev":        true,
		"https://a.b.preview.dev:1234": true,
		"https://preview.dev":          false,
		"https://evilpreview.dev":      false,
		"http://a.port.dev:8080":       true,
		"http://a.port.dev":            false,
		"https://shop.dev":             true,
		"http://shop.dev":              false,
		"http://[::1]:8080":            false,
	} {
		scheme, name, _ := strings.Cut(host, "://")
		if got := set.Accepts(name, scheme); got != want {
			t.Errorf("%s: got %v, want %v", host, got, want)
		}
	}
	if v6, _, ok := ParseHostSet([]string{"[::1]"}); !ok || !v6.Accepts("[::1]:8080", "http") || !v6.Accepts("[::1]", "http") {
		t.Error("IPv6 is not accepted")
	}
	if !new(HostSet).Accepts("anything", "https") {
		t.Error("the empty set refuses")
	}
	for _, bad := range []string{"", "*", "*.", "*app.dev", "http://app.dev", "app.dev/x", "a b", "*.*.dev"} {
		if _, got, ok := ParseHostSet([]string{"app.dev", bad}); ok || got != bad {
			t.Errorf("%q is not refused", bad)
		}
	}
}

func TestTheEntryThatSaysMoreGoesFirst(t *testing.T) {
	var m HostMap[string]
	for _, entry := range []string{"*.dev", "*.app.dev", "*.app.dev:8443", "www.app.dev", "www.app.dev:8443", "*.eu.app.dev"} {
		m.Set(entry, entry)
	}
	for host, want := range map[string]string{
		"https://www.app.dev":       "www.app.dev",
		"https://www.app.dev:8443":  "www.app.dev:8443",
		"http://www.app.dev:8080":   "www.app.dev",
		"https://a.app.dev":         "*.app.dev",
		"https://a.app.dev:8443":    "*.app.dev:8443",
		"https://a.eu.app.dev":      "*.eu.app.dev",
		"https://a.eu.app.dev:8443": "*.app.dev:8443", // a port says more than a domain
		"https://app.dev":           "*.dev",
		"https://dev":               "",
		"https://app.example":       "",
	} {
		scheme, name, _ := strings.Cut(host, "://")
		if got, _ := m.Get(name, scheme); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
}

func TestVouches(t *testing.T) {
	p := Policy{ClientIPHeader: "X-Edge-Ip"}
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "X-Forwarded-Port": true, "Forwarded": true, "Cf-Connecting-Ip": true,
		"X-Real-Ip": true, "X-Edge-Ip": true, "X-Request-Id": false, "Cookie": false, "": false,
	} {
		if got := p.Vouches(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// Whatever the headers say, what comes out is a canonical address, and one that
// a peer which is not trusted did not choose.
func FuzzSource(f *testing.F) {
	f.Add("127.0.0.1:1", "198.51.100.1, 10.0.0.1", "1.2.3.4", "app.dev", "app.dev:80")
	f.Add("203.0.113.1:1", "[::1]:80,", "x", "", "[::1]:443")
	f.Fuzz(func(t *testing.T, remote, xff, clientIP, xfh, host string) {
		p := Policy{Trusted: DefaultTrustedProxies(), ClientIPHeader: "X-Real-Ip"}
		r := &http.Request{RemoteAddr: remote, Host: host, Header: http.Header{
			"X-Forwarded-For": {xff}, "X-Real-Ip": {clientIP}, "X-Forwarded-Host": {xfh},
		}}
		s := p.Source(r)
		if s.ClientIP.IsValid() {
			if again, err := netip.ParseAddr(s.ClientIP.String()); err != nil || again != s.ClientIP || again.Zone() != "" || again.Is4In6() {
				t.Errorf("%v is not canonical", s.ClientIP)
			}
		}
		bare := (&http.Request{RemoteAddr: remote, Host: host})
		if !s.PeerTrusted && s != p.Source(bare) {
			t.Errorf("an untrusted peer chose %+v", s)
		}
		if strings.ContainsAny(s.Host, "/@?#\\ \t\r\n,\"<>") {
			t.Errorf("host %q", s.Host)
		}
	})
}

func TestAPIURLProblem(t *testing.T) {
	for s, want := range map[string]string{
		"https://api.clerk.com":                "",
		"https://api.clerk.com/v1":             "",
		"http://localhost:8081":                "",
		"http://[::1]:8081":                    "",
		"":                                     "is not an absolute http or https URL",
		"api.clerk.com":                        "write an origin such as https://api.example, or leave it out",
		"https://":                             "is not an absolute",
		"ftp://api.clerk.com":                  "is not an absolute",
		"https://user:swordfish@api.clerk.com": "without credentials",
		"https://api.clerk.com?x":              "is not an absolute",
		"https://api.clerk.com#x":              "is not an absolute",
		"https://api.clerk.com\n":              "is not an absolute",
		"http://api.clerk.com":                 "in the clear; write https",
		"http://10.0.0.1":                      "in the clear",
	} {
		got := APIURLProblem(s, "https://api.example")
		if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "swordfish") {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}
