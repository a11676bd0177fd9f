package clerkjs

import (
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/instance"
)

// An element is a script element as a browser sees it.
type element struct {
	attributes map[string]string
	content    string
}

var attributePattern = regexp.MustCompile(`^ ([a-z-]+)(?:="([^"]*)")?`)

// elements reads script elements as HTML's tokenizer does, and refuses whatever
// else there is: the content of one ends at the next </script, however written,
// and <!-- would change that.
func elements(s string) ([]element, error) {
	var all []element
	for s != "" {
		rest, ok := strings.CutPrefix(s, "<script")
		if !ok {
			return nil, fmt.Errorf("no script element: %q", s)
		}
		e := element{attributes: map[string]string{}}
		for !strings.HasPrefix(rest, ">") {
			m := attributePattern.FindStringSubmatch(rest)
			if m == nil {
				return nil, fmt.Errorf("no attribute: %q", rest)
			}
			if _, twice := e.attributes[m[1]]; twice {
				return nil, fmt.Errorf("%s twice", m[1])
			}
			e.attributes[m[1]] = html.UnescapeString(m[2])
			rest = rest[len(m[0]):]
		}
		rest = rest[1:]
		end := strings.Index(strings.ToLower(rest), "</script")
		if end < 0 || strings.Contains(rest[:end], "<!--") {
			return nil, fmt.Errorf("no end: %q", rest)
		}
		e.content = rest[:end]
		if rest, ok = strings.CutPrefix(rest[end:], "</script>\n"); !ok {
			return nil, fmt.Errorf("no clean end: %q", rest)
		}
		s = rest
		all = append(all, e)
	}
	return all, nil
}

// tags are the three elements, and the options that Clerk.load is given.
func tags(t testing.TB, p *Provider, r *http.Request) (js, ui element, options map[string]any) {
	t.Helper()
	all, err := elements(string(p.Tags(r)))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("%d elements", len(all))
	}
	encoded, ok := strings.CutPrefix(all[0].content, strings.TrimSpace(bootstrap)+"(")
	if !ok || !strings.HasSuffix(encoded, ");") {
		t.Fatalf("the inline script is %s", all[0].content)
	}
	encoded = strings.TrimSuffix(encoded, ");")
	if strings.ContainsAny(encoded, "<>&\u2028\u2029\n") {
		t.Errorf("the options are not escaped: %q", encoded)
	}
	if err := json.Unmarshal([]byte(encoded), &options); err != nil {
		t.Fatal(err)
	}
	return all[1], all[2], options
}

// The URLs and attributes are those of clerkJSScriptUrl, clerkUIScriptUrl and
// buildClerkJSScriptAttributes of @clerk/shared 4.41.0 for the same options. It
// differs in three: it keeps a proxy URL's trailing slashes, in an absolute one
// as an empty segment of the scripts' paths; it loads from https where an
// absolute proxy URL is http, so that nothing loads from localhost; and it uses
// a proxy URL with the keys of a development instance.
func TestTheScriptsAreThoseOfClerksOwnSDK(t *testing.T) {
	const (
		js6 = "/npm/@clerk/clerk-js@6/dist/clerk.browser.js"
		ui1 = "/npm/@clerk/ui@1/dist/ui.browser.js"
	)
	satellite := func(domain string) Config { return Config{IsSatellite: true, Domain: domain} }
	tests := []struct {
		name   string
		config Config
		js, ui string
		extra  map[string]string
	}{
		{"a relative proxy URL", Config{ProxyURL: "/__clerk"}, "/__clerk" + js6, "/__clerk" + ui1,
			map[string]string{"data-clerk-proxy-url": "/__clerk"}},
		{"a relative proxy URL with trailing slashes", Config{ProxyURL: "/__clerk//"}, "/__clerk" + js6, "/__clerk" + ui1,
			map[string]string{"data-clerk-proxy-url": "/__clerk"}},
		{"an absolute proxy URL", Config{ProxyURL: "https://app.dev/__clerk"}, "https://app.dev/__clerk" + js6, "https://app.dev/__clerk" + ui1,
			map[string]string{"data-clerk-proxy-url": "https://app.dev/__clerk"}},
		{"an absolute proxy URL with a trailing slash", Config{ProxyURL: "https://APP.dev:443/__clerk/"}, "https://app.dev/__clerk" + js6, "https://app.dev/__clerk" + ui1,
			map[string]string{"data-clerk-proxy-url": "https://app.dev/__clerk"}},
		{"a proxy URL on localhost", Config{ProxyURL: "http://localhost:8080/__clerk"}, "http://localhost:8080/__clerk" + js6, "http://localhost:8080/__clerk" + ui1,
			map[string]string{"data-clerk-proxy-url": "http://localhost:8080/__clerk"}},
		{"no proxy", Config{}, "https://clerk.app.dev" + js6, "https://clerk.app.dev" + ui1, nil},
		{"a development instance", Config{PublishableKey: devKey}, "https://foo-bar-13.clerk.accounts.dev" + js6, "https://foo-bar-13.clerk.accounts.dev" + ui1, nil},
		{"a satellite's domain", satellite("satellite.dev"), "https://clerk.satellite.dev" + js6, "https://clerk.satellite.dev" + ui1,
			map[string]string{"data-clerk-domain": "satellite.dev"}},
		{"a domain that has the prefix", satellite("clerk.satellite.dev"), "https://clerk.satellite.dev" + js6, "https://clerk.satellite.dev" + ui1,
			map[string]string{"data-clerk-domain": "clerk.satellite.dev"}},
		{"a domain that is called clerk", satellite("clerk.dev"), "https://clerk.clerk.dev" + js6, "https://clerk.clerk.dev" + ui1,
			map[string]string{"data-clerk-domain": "clerk.dev"}},
		{"a domain that is called clerk and has the prefix", satellite("clerk.clerk.dev"), "https://clerk.clerk.dev" + js6, "https://clerk.clerk.dev" + ui1,
			map[string]string{"data-clerk-domain": "clerk.clerk.dev"}},
		{"a satellite of a development instance", Config{PublishableKey: devKey, IsSatellite: true, Domain: "satellite.dev", SignInURL: "https://app.dev/in"},
			"https://foo-bar-13.clerk.accounts.dev" + js6, "https://foo-bar-13.clerk.accounts.dev" + ui1,
			map[string]string{"data-clerk-domain": "satellite.dev"}},
		{"exact versions and a nonce", Config{ProxyURL: "/__clerk", JSVersion: "6.40.0", UIVersion: "1.34.0", Nonce: func(*http.Request) string { return "abc" }},
			"/__clerk/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js", "/__clerk/npm/@clerk/ui@1.34.0/dist/ui.browser.js",
			map[string]string{"data-clerk-proxy-url": "/__clerk", "nonce": "abc"}},
		{"a tag", Config{ProxyURL: "/__clerk", JSVersion: "canary"}, "/__clerk/npm/@clerk/clerk-js@canary/dist/clerk.browser.js", "/__clerk" + ui1,
			map[string]string{"data-clerk-proxy-url": "/__clerk"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := provider(t, tt.config)
			js, ui, _ := tags(t, p, at("https://app.dev/page"))
			for marker, got := range map[string]element{"data-clerk-js-script": js, "data-clerk-ui-script": ui} {
				want := map[string]string{"src": tt.js, marker: "", "async": "", "crossorigin": "anonymous", "data-clerk-publishable-key": p.instance.PublishableKey}
				if marker == "data-clerk-ui-script" {
					want["src"] = tt.ui
				}
				maps.Copy(want, tt.extra)
				if !maps.Equal(got.attributes, want) || got.content != "" {
					t.Errorf("got  %v %q\nwant %v", got.attributes, got.content, want)
				}
			}
		})
	}
}

func TestTheProxyURLFollowsTheRequest(t *testing.T) {
	p := provider(t, Config{Proxy: proxy(t, clerkproxy.Config{ProxyURL: "/__clerk", Hosts: []string{"app.dev", "*.app.dev"}})})
	for page, want := range map[string]string{
		"https://app.dev/":           "https://app.dev/__clerk",
		"https://preview.app.dev/":   "https://preview.app.dev/__clerk",
		"http://app.dev:8080/a/b?c=": "http://app.dev:8080/__clerk",
		"https://evil.example/":      "",
	} {
		js, _, _ := tags(t, p, at(page))
		src := want
		if want == "" {
			src = "https://clerk.app.dev"
		}
		if js.attributes["data-clerk-proxy-url"] != want || !strings.HasPrefix(js.attributes["src"], src+"/npm/") {
			t.Errorf("%s: %v", page, js.attributes)
		}
	}
}

func TestClerkIsLoadedWithWhatIsConfigured(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   map[string]any
	}{
		{"nothing", Config{}, map[string]any{}},
		{"pages", Config{SignInURL: "/sign-in", SignUpURL: "https://app.dev/sign-up"}, map[string]any{"signInUrl": "/sign-in", "signUpUrl": "https://app.dev/sign-up"}},
		{"a satellite", Config{IsSatellite: true, ProxyURL: "/__clerk", SatelliteAutoSync: true, SignInURL: "https://app.dev/sign-in"},
			map[string]any{"isSatellite": true, "satelliteAutoSync": true, "signInUrl": "https://app.dev/sign-in"}},
		{"auto-sync on a primary", Config{SatelliteAutoSync: true}, map[string]any{}},
		{"redirect origins", Config{AllowedRedirectOrigins: []string{"https://Satellite.dev/"}}, map[string]any{"allowedRedirectOrigins": []any{"https://satellite.dev"}}},
		{"more", Config{LoadOptions: map[string]any{"appearance": map[string]any{"variables": map[string]string{"colorPrimary": "red"}}}},
			map[string]any{"appearance": map[string]any{"variables": map[string]any{"colorPrimary": "red"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, got := tags(t, provider(t, tt.config), at("https://app.dev/")); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

var hostile = []string{
	"</script><script>alert(1)</script>", "</SCRIPT\n>", "<!--<script>", "]]>", `"`, `'`, "`${alert(1)}`", `\`, `\"`, "\u2028", "\u2029", "&quot;", "&#34;", "\x00", "\r\n", "{{.}}", "ﬀ𝒳",
}

func TestHostileValuesStayWhatTheyAre(t *testing.T) {
	for _, value := range hostile {
		c := Config{
			ProxyURL:    "/it's&quot;",
			SignInURL:   "https://app.dev/sign-in?x='</script>\u2028",
			LoadOptions: map[string]any{"supportEmail": value, value: json.RawMessage(`"</script>\u2028` + "\u2028\"")},
		}
		p := provider(t, c)
		js, _, options := tags(t, p, at("https://app.dev/"))
		if options["supportEmail"] != value || options[value] != "</script>\u2028\u2028" {
			t.Errorf("%q became %v", value, options)
		}
		if js.attributes["data-clerk-proxy-url"] != c.ProxyURL {
			t.Errorf("%q became %v", c.ProxyURL, js.attributes)
		}
	}
}

func TestTheTagsStandInATemplateAsTheyAre(t *testing.T) {
	p := provider(t, Config{ProxyURL: "/__clerk"})
	r := withNonce(at("https://app.dev/"), "abc")
	page := template.Must(template.New("").Parse(`{{.Clerk.Tags .Request}}<script nonce="{{.Clerk.Nonce .Request}}"></script><a href="{{.Clerk.SignInURL .Request "/x?a=b&c"}}">`))
	var out strings.Builder
	if err := page.Execute(&out, map[string]any{"Clerk": p, "Request": r}); err != nil {
		t.Fatal(err)
	}
	want := string(p.Tags(r)) + `<script nonce="abc"></script><a href="` + html.EscapeString(p.SignInURL(r, "/x?a=b&c")) + `">`
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

// Whatever New accepts, the tags are three script elements and hold the values.
func FuzzTags(f *testing.F) {
	noEnvironment(f)
	for _, s := range hostile {
		f.Add("/"+s, "https://app.dev/"+s, s, s, "app.dev")
	}
	f.Add("/__clerk", "/sign-in", "6", "abc==", "app.dev:8080")
	f.Add("https://app.dev/__clerk/", "https://app.dev/?a=b&c", "6.40.0", "'", "evil.example\"><script>")
	f.Fuzz(func(t *testing.T, proxyURL, signIn, version, nonce, host string) {
		p, err := New(Config{
			PublishableKey: instance.PublishableKey("clerk.app.dev", true),
			ProxyURL:       proxyURL,
			SignInURL:      signIn,
			JSVersion:      version,
			LoadOptions:    map[string]any{"supportEmail": signIn, host: nonce},
			Nonce:          func(*http.Request) string { return nonce },
		})
		if err != nil {
			return
		}
		r := at("https://app.dev/")
		r.Host = host
		js, ui, options := tags(t, p, r)
		if proxyURL != "" && !strings.HasPrefix(proxyURL, strings.TrimRight(js.attributes["data-clerk-proxy-url"], "/")) && !strings.Contains(proxyURL, "://") {
			t.Errorf("the proxy URL %q became %q", proxyURL, js.attributes["data-clerk-proxy-url"])
		}
		if n := js.attributes["nonce"]; n != "" && n != nonce || n != ui.attributes["nonce"] {
			t.Errorf("the nonce %q became %q", nonce, n)
		}
		if utf8.ValidString(signIn) && host != "supportEmail" && options["supportEmail"] != signIn {
			t.Errorf("%q became %q", signIn, options["supportEmail"])
		}
	})
}
