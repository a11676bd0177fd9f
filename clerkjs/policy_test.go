package clerkjs

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
)

const (
	none = "default-src 'none'"
	// What a page on app.dev with a proxy on its own origin comes down to.
	connect = "https://app.dev/__clerk/"
	scripts = "https://app.dev/__clerk/npm/"
)

func TestThePolicyIsThePagesOwnWithWhatClerkNeeds(t *testing.T) {
	tests := []struct{ name, own, want string }{
		{"a page without a policy stays without", "", ""},
		{"a page that limits nothing of ours stays as it is", "frame-ancestors 'none'; upgrade-insecure-requests", "frame-ancestors 'none'; upgrade-insecure-requests"},
		{"what falls back to default-src gets directives of its own",
			"default-src 'self' cdn.dev",
			"default-src 'self' cdn.dev; script-src 'self' cdn.dev 'nonce-N'; style-src 'self' cdn.dev 'unsafe-inline'; img-src 'self' cdn.dev data:; worker-src 'self' cdn.dev blob:"},
		{"'none' gives way to the little that is needed",
			none,
			"default-src 'none'; script-src 'nonce-N' " + scripts + "; style-src 'unsafe-inline'; connect-src " + connect + "; img-src data:; worker-src blob:"},
		{"'none' goes out of a directive that gets a source",
			"connect-src 'NONE'; img-src", "connect-src " + connect + "; img-src data:"},
		{"'none' stays where nothing is needed",
			"object-src 'none'; frame-src 'none'; form-action 'none'; base-uri 'none'", "object-src 'none'; frame-src 'none'; form-action 'none'; base-uri 'none'"},
		{"what is allowed already is not added",
			"connect-src *; img-src https: DATA:; worker-src blob:; style-src 'unsafe-inline'", "connect-src *; img-src https: DATA:; worker-src blob:; style-src 'unsafe-inline'"},
		{"the page's own path covers what is below",
			"connect-src https://app.dev/__clerk/; script-src 'nonce-N' https://app.dev; worker-src blob:", "connect-src https://app.dev/__clerk/; script-src 'nonce-N' https://app.dev; worker-src blob:"},
		{"a path that only begins alike covers nothing",
			"connect-src https://app.dev/__clerk https://app.dev.evil.example", "connect-src https://app.dev/__clerk https://app.dev.evil.example " + connect},
		{"with 'strict-dynamic' the nonce is enough",
			"script-src 'strict-dynamic' 'nonce-x' https:; worker-src blob:", "script-src 'strict-dynamic' 'nonce-x' https: 'nonce-N'; worker-src blob:"},
		{"a page's nonce that is ours is not added again",
			"script-src 'strict-dynamic' 'nonce-N'; worker-src blob:", "script-src 'strict-dynamic' 'nonce-N'; worker-src blob:"},
		{"a nonce that differs in case is another",
			"script-src 'strict-dynamic' 'nonce-n'; worker-src blob:", "script-src 'strict-dynamic' 'nonce-n' 'nonce-N'; worker-src blob:"},
		{"a page with 'unsafe-inline' for its scripts keeps it: a nonce would take it away",
			"script-src 'self' 'unsafe-inline'; worker-src blob:", "script-src 'self' 'unsafe-inline'; worker-src blob:"},
		{"'unsafe-inline' beside a hash means nothing, so the nonce is needed",
			"script-src 'self' 'unsafe-inline' 'sha256-x='; worker-src blob:", "script-src 'self' 'unsafe-inline' 'sha256-x=' 'nonce-N'; worker-src blob:"},
		{"script-src-elem counts for scripts, and script-src stays",
			"script-src 'none'; script-src-elem 'self'; worker-src blob:", "script-src 'none'; script-src-elem 'self' 'nonce-N'; worker-src blob:"},
		{"a page that uses nonces for styles gets ours, as 'unsafe-inline' would mean nothing",
			"style-src 'self' 'nonce-x'", "style-src 'self' 'nonce-x' 'nonce-N'"},
		{"style-src-elem counts for style elements",
			"style-src 'self'; style-src-elem 'self'; style-src-attr 'none'", "style-src 'self'; style-src-elem 'self' 'unsafe-inline'; style-src-attr 'none'"},
		{"workers fall back to child-src, which stays for frames",
			"child-src 'self'", "child-src 'self'; worker-src 'self' blob:"},
		{"workers fall back to script-src, without what is for scripts only",
			"script-src 'self' 'unsafe-eval' 'nonce-x' cdn.dev", "script-src 'self' 'unsafe-eval' 'nonce-x' cdn.dev 'nonce-N'; worker-src 'self' cdn.dev blob:"},
		{"workers that 'strict-dynamic' allowed stay allowed",
			"script-src 'strict-dynamic' 'nonce-x'", "script-src 'strict-dynamic' 'nonce-x' 'nonce-N'; worker-src 'self' blob:"},
		{"the second of two directives means nothing, and goes",
			"img-src a.dev; IMG-SRC b.dev", "img-src a.dev data:"},
		{"names are not case-sensitive, white space is what CSP says, values stay as written",
			" \tImg-Src\fA.dev/Path\r\n;;; Sandbox  allow-Forms ;", "img-src A.dev/Path data:; sandbox allow-Forms"},
		{"what a browser passes over is not sent",
			"img-src bücher.example; connect-src https://api.dev\x00; font-src f.dev", "font-src f.dev"},
		{"each of several policies is merged by itself",
			"img-src a.dev, img-src b.dev; font-src 'none',", "img-src a.dev data:, img-src b.dev data:; font-src 'none'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := provider(t, Config{Proxy: proxy(t, clerkproxy.Config{}), Features: []Feature{}})
			r := withNonce(at("https://app.dev/page"), "N")
			got := p.ContentSecurityPolicy(r, tt.own)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if again := p.ContentSecurityPolicy(r, got); again != got {
				t.Errorf("merged again it is\n     %s\nnot  %s", again, got)
			}
		})
	}
}

func TestThePolicyAllowsWhereClerkIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		page   string
		want   string
	}{
		{"a proxy on the page's origin", Config{ProxyURL: "https://app.dev/__clerk"}, "https://app.dev/", "connect-src https://app.dev/__clerk/"},
		{"a relative proxy URL", Config{ProxyURL: "/__clerk"}, "https://app.dev/", "connect-src 'self'"},
		{"a path with what separates directives", Config{ProxyURL: "https://app.dev/a;b,c"}, "https://app.dev/", "connect-src https://app.dev/a%3Bb%2Cc/"},
		{"no proxy", Config{}, "https://app.dev/", "connect-src https://clerk.app.dev/"},
		{"a satellite's domain", Config{IsSatellite: true, Domain: "satellite.dev"}, "https://satellite.dev/", "connect-src https://clerk.satellite.dev/"},
		{"what a page uses", Config{ProxyURL: "/__clerk", Features: []Feature{Billing, Protect}}, "https://app.dev/",
			"connect-src 'self' https://api.stripe.com https://maps.googleapis.com https://*.protect.clerk.com:*"},
		{"by default, pictures", Config{ProxyURL: "/__clerk", Features: nil}, "https://app.dev/", "connect-src 'self' https://img.clerk.com"},
		{"by default in development, telemetry too", Config{PublishableKey: devKey}, "http://localhost:3000/",
			"connect-src https://foo-bar-13.clerk.accounts.dev/ https://img.clerk.com https://clerk-telemetry.com https://*.clerk-telemetry.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.HasPrefix(tt.name, "by default") && tt.config.Features == nil {
				tt.config.Features = []Feature{}
			}
			p := provider(t, tt.config)
			if got := p.ContentSecurityPolicy(at(tt.page), "connect-src 'none'"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestThePagesOriginCoversItsOwnProxyOnly(t *testing.T) {
	for proxyURL, want := range map[string]string{
		"https://app.dev/__clerk":         "connect-src 'self'",
		"http://app.dev/__clerk":          "connect-src 'self' http://app.dev/__clerk/",
		"https://app.dev:8443/__clerk":    "connect-src 'self' https://app.dev:8443/__clerk/",
		"https://app.dev.example/__clerk": "connect-src 'self' https://app.dev.example/__clerk/",
	} {
		p := provider(t, Config{ProxyURL: proxyURL, Features: []Feature{}})
		if got := p.ContentSecurityPolicy(at("https://app.dev/"), "connect-src 'self'"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What createContentSecurityPolicyHeaders of @clerk/nextjs adds for production,
// in strict mode: all of it is there with every feature, but for what is for
// staging instances.
func TestWithEveryFeatureThePolicyAllowsWhatClerksOwnDoes(t *testing.T) {
	p := provider(t, Config{Features: []Feature{Images, BotProtection, Protect, Billing, Telemetry}})
	got := parsePolicy(p.ContentSecurityPolicy(withNonce(at("https://app.dev/"), "N"), DefaultPolicy))
	for name, sources := range map[string]string{
		"connect-src": "'self' https://clerk-telemetry.com https://*.clerk-telemetry.com https://api.stripe.com https://maps.googleapis.com https://img.clerk.com https://*.protect.clerk.com:*",
		"default-src": "'self'",
		"form-action": "'self'",
		"frame-src":   "'self' https://challenges.cloudflare.com https://*.js.stripe.com https://js.stripe.com https://hooks.stripe.com https://*.protect.clerk.com",
		"img-src":     "'self' https://img.clerk.com",
		"script-src":  "'self' 'nonce-N' https://*.js.stripe.com https://js.stripe.com https://maps.googleapis.com https://*.protect.clerk.com",
		"style-src":   "'self' 'unsafe-inline'",
		"worker-src":  "'self' blob:",
	} {
		d, _ := got.effective([]string{name})
		for source := range strings.FieldsSeq(sources) {
			if !slices.Contains(d.sources, source) {
				t.Errorf("%s does not allow %s: %v", name, source, d.sources)
			}
		}
	}
}

func TestWithoutANonceTheInlineScriptIsAllowedByItsHash(t *testing.T) {
	p := provider(t, Config{ProxyURL: "/__clerk", SignInURL: "/sign-in", Features: []Feature{}})
	r := at("https://app.dev/")
	all, err := elements(string(p.Tags(r)))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(all[0].content))
	want := "script-src 'self' 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; worker-src blob:"
	if got := p.ContentSecurityPolicy(r, "script-src 'self'; worker-src blob:"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// There, nothing would help.
	const styles = "style-src 'nonce-x'"
	if got := p.ContentSecurityPolicy(r, styles); got != styles {
		t.Errorf("got %s, want %s", got, styles)
	}
}

// Whatever a page's policy is: no directive and no source of it is lost, what is
// added is ours, nothing becomes limited that was not, and browsers read of the
// result what was meant.
func FuzzContentSecurityPolicy(f *testing.F) {
	noEnvironment(f)
	for _, seed := range []string{
		"", DefaultPolicy, none, "default-src 'self'; script-src 'strict-dynamic' 'nonce-x' https:", "img-src a.dev, img-src b.dev",
		"script-src 'unsafe-inline'; style-src 'nonce-x' 'unsafe-inline'", "CONNECT-src\t*\n;;child-src 'none'", "script-src-elem x; style-src-elem 'sha256-x'",
		"default-src 'none' 'report-sample'; img-src\x00 x; worker-src\u00a0y", "sandbox; report-uri /x?a=b; trusted-types default",
	} {
		f.Add(seed, "nonce", "app.dev")
	}
	f.Add(DefaultPolicy, "", "evil.example; script-src *")
	providers := []*Provider{
		provider(f, Config{ProxyURL: "https://app.dev/__clerk"}),
		provider(f, Config{ProxyURL: "/__clerk", Features: []Feature{}}),
		provider(f, Config{Features: []Feature{Images, BotProtection, Protect, Billing, Telemetry}}),
	}
	f.Fuzz(func(t *testing.T, own, nonce, host string) {
		for _, p := range providers {
			r := withNonce(at("https://app.dev/"), nonce)
			r.Host = host
			merged := p.ContentSecurityPolicy(r, own)
			if again := p.ContentSecurityPolicy(r, merged); again != merged {
				t.Fatalf("%q is not stable:\n%q\n%q", own, merged, again)
			}
			if strings.ContainsFunc(merged, func(c rune) bool { return c < ' ' || c >= 0x7f }) {
				t.Fatalf("%q became %q, which no header can hold", own, merged)
			}
			checkMerged(t, p.needs(r), own, merged)
		}
	})
}

func checkMerged(t *testing.T, n needs, own, merged string) {
	var before []policy
	for s := range strings.SplitSeq(own, ",") {
		if p := parsePolicy(s); len(p) > 0 {
			before = append(before, p)
		}
	}
	var after []policy
	for s := range strings.SplitSeq(merged, ",") {
		if p := parsePolicy(s); len(p) > 0 {
			after = append(after, p)
			if p.String() != strings.TrimSpace(s) {
				t.Fatalf("%q does not survive parsing: %q", s, p.String())
			}
		}
	}
	if len(before) != len(after) {
		t.Fatalf("%q became %q: %d policies became %d", own, merged, len(before), len(after))
	}
	ours := slices.Concat(n.connect, n.frame, n.img, n.script, []string{n.inline, "'unsafe-inline'", "blob:", "'self'"})
	fallbacks := map[string][]string{
		"script-src": {"default-src"}, "style-src": {"default-src"}, "connect-src": {"default-src"}, "img-src": {"default-src"},
		"frame-src": {"child-src", "default-src"}, "worker-src": {"child-src", "script-src", "default-src"},
	}
	for i, page := range before {
		for _, d := range page {
			got, found := after[i].effective([]string{d.name})
			for _, s := range d.sources {
				if !found || !slices.Contains(got.sources, s) && (!strings.EqualFold(s, "'none'") || len(got.sources) == 0) {
					t.Fatalf("%q became %q: %s of %s is lost", own, merged, s, d.name)
				}
			}
		}
		for _, d := range after[i] {
			page, found := page.effective(append([]string{d.name}, fallbacks[d.name]...))
			if !found {
				t.Fatalf("%q became %q: %s was not limited", own, merged, d.name)
			}
			for _, s := range d.sources {
				if !slices.Contains(page.sources, s) && !slices.Contains(ours, s) {
					t.Fatalf("%q became %q: nobody asked for %s", own, merged, s)
				}
			}
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	p := provider(b, Config{ProxyURL: "/__clerk"})
	h := p.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := at("https://app.dev/")
	w := discard{http.Header{}}
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
