package emulator

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const testPage = "https://example.com/account?tab=1"

// shake goes through a handshake for a page. The parameters add to, and may take
// the place of, those that every server sends.
func (b *browser) shake(page string, parameters url.Values) answer {
	b.t.Helper()
	query := url.Values{
		"redirect_url": {page}, "suffixed_cookies": {"false"}, "format": {"nonce"},
		"__clerk_hs_reason": {"client-uat-but-no-session-token"}, "__clerk_api_version": {"2026-05-12"},
	}
	for name, values := range parameters {
		query[name] = values
	}
	return b.get("/v1/client/handshake?" + query.Encode())
}

// brought is the cookie that a handshake's redirect carries.
func brought(t *testing.T, a answer, name string) *http.Cookie {
	t.Helper()
	cookie := setCookies(t, a)[name]
	if a.status != http.StatusTemporaryRedirect || cookie == nil {
		t.Fatalf("got %d %s, set %v", a.status, a.body, a.header["Set-Cookie"])
	}
	return cookie
}

// payload fetches the result of a handshake as a server does: the cookies that it
// shall set, by name, each of which must be there once.
func payload(t *testing.T, s *Server, a answer) map[string]*http.Cookie {
	t.Helper()
	nonce := brought(t, a, "__clerk_handshake_nonce").Value
	got := backendCall(t, s, http.MethodGet, "/v1/clients/handshake_payload?nonce="+nonce, "")
	var result struct{ Directives []string }
	if err := json.Unmarshal(got.body, &result); err != nil || got.status != http.StatusOK {
		t.Fatalf("the payload: %d %s", got.status, got.body)
	}
	return cookiesOf(t, result.Directives)
}

func cookiesOf(t *testing.T, directives []string) map[string]*http.Cookie {
	t.Helper()
	if len(directives) == 0 {
		t.Fatal("no cookies")
	}
	cookies := setCookies(t, answer{header: http.Header{"Set-Cookie": directives}})
	if len(cookies) != len(directives) {
		t.Errorf("a cookie is set twice: %v", directives)
	}
	return cookies
}

func TestAHandshakeTellsThatSomeoneIsSignedIn(t *testing.T) {
	s, b, clock := signInServer(t)
	id := b.signIn(ada)
	signedInAt := strconv.FormatInt(clock.Now().Unix(), 10)
	clock.advance(time.Hour)

	a := b.shake(testPage, nil)
	nonce := brought(t, a, "__clerk_handshake_nonce")
	if got := a.header.Get("Location"); got != testPage {
		t.Errorf("it goes back to %s", got)
	}
	if a.header.Get("Cache-Control") != "no-store" || !nonce.HttpOnly || !nonce.Secure || nonce.Domain != "example.com" || nonce.MaxAge != 60 {
		t.Errorf("the redirect: %v", a.header)
	}

	cookies := payload(t, s, a)
	suffix := s.instance.CookieSuffix()
	for _, name := range []string{"__session", "__session_" + suffix} {
		c := cookies[name]
		if c == nil || c.Domain != "" || c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
			t.Fatalf("%s is %v", name, c)
		}
		header, got := claims(t, c.Value, s.keys.current().private.Public())
		if header["cat"] != classSession || got["sid"] != id || got["azp"] != "https://example.com" || got["iss"] != testProxyURL ||
			got["iat"] != float64(clock.Now().Unix()) {
			t.Errorf("%s: header %v, claims %v", name, header, got)
		}
	}
	for _, name := range []string{"__client_uat", "__client_uat_" + suffix} {
		if c := cookies[name]; c == nil || c.Value != signedInAt || c.Domain != "example.com" || c.HttpOnly {
			t.Errorf("%s is %v", name, c)
		}
	}
	if c := cookies["__refresh_"+suffix]; c == nil || c.Value == "" || !c.HttpOnly || c.Domain != "" {
		t.Errorf("__refresh is %v", c)
	}
	if c := cookies["__clerk_handshake_nonce"]; c == nil || c.MaxAge >= 0 || c.Domain != "example.com" {
		t.Errorf("the nonce stays: %v", c)
	}
	if len(cookies) != 6 {
		t.Errorf("it sets %v", cookies)
	}
}

func TestAHandshakeByToken(t *testing.T) {
	for _, format := range []url.Values{{"format": {"token"}}, {"format": {""}}} {
		s, b, _ := signInServer(t)
		id := b.signIn(ada)
		token := brought(t, b.shake(testPage, format), "__clerk_handshake")
		header, got := claims(t, token.Value, s.keys.current().private.Public())
		if header["cat"] != classSession || header["typ"] != "JWT" || header["kid"] != s.keys.current().id {
			t.Errorf("header %v", header)
		}
		var lines []string
		for _, line := range got["handshake"].([]any) {
			lines = append(lines, line.(string))
		}
		cookies := cookiesOf(t, lines)
		if c := cookies["__clerk_handshake"]; c == nil || c.MaxAge >= 0 {
			t.Errorf("the token stays: %v", c)
		}
		if _, session := claims(t, cookies["__session"].Value, s.keys.current().private.Public()); session["sid"] != id {
			t.Errorf("claims %v", session)
		}
		if len(token.String()) > 4096 {
			t.Errorf("no browser keeps a cookie of %d bytes", len(token.String()))
		}
	}
}

func TestAHandshakeTellsThatNobodyIsSignedIn(t *testing.T) {
	for name, before := range map[string]func(b *browser, c *clock){
		"a stranger":           func(*browser, *clock) {},
		"someone signed out":   func(b *browser, _ *clock) { b.signIn(ada); b.send(http.MethodDelete, "/v1/client/sessions", nil) },
		"a session that ended": func(b *browser, c *clock) { b.signIn(ada); c.advance(sessionLifetime) },
		"an unknown client":    func(b *browser, _ *clock) { b.cookies["__client"] = &http.Cookie{Name: "__client", Value: "x"} },
	} {
		t.Run(name, func(t *testing.T) {
			s, b, clock := signInServer(t)
			before(b, clock)
			cookies := payload(t, s, b.shake(testPage, nil))
			suffix := s.instance.CookieSuffix()
			for _, name := range []string{"__session", "__session_" + suffix, "__refresh_" + suffix} {
				if c := cookies[name]; c == nil || c.Value != "" || c.MaxAge >= 0 {
					t.Errorf("%s is %v", name, c)
				}
			}
			for _, name := range []string{"__client_uat", "__client_uat_" + suffix} {
				if c := cookies[name]; c == nil || c.Value != "0" {
					t.Errorf("%s is %v", name, c)
				}
			}
		})
	}
}

func TestAServerThatDoesNotKnowOfSuffixesGetsNone(t *testing.T) {
	s, b, _ := signInServer(t)
	for _, signIn := range []func(){func() {}, func() { b.signIn(ada) }} {
		signIn()
		a := b.get("/v1/client/handshake?format=nonce&redirect_url=" + url.QueryEscape(testPage))
		cookies := payload(t, s, a)
		for name := range cookies {
			if strings.HasSuffix(name, s.instance.CookieSuffix()) {
				t.Errorf("it sets %s", name)
			}
		}
		if cookies["__session"] == nil || cookies["__client_uat"] == nil {
			t.Errorf("it sets %v", cookies)
		}
	}
}

func TestANonceIsGoodForOneServerOnce(t *testing.T) {
	s, b, clock := signInServer(t)
	b.signIn(ada)
	used := b.shake(testPage, nil)
	payload(t, s, used)
	late := b.shake(testPage, nil)
	clock.advance(handshakeLifetime)
	for name, nonce := range map[string]string{
		"used": brought(t, used, "__clerk_handshake_nonce").Value, "late": brought(t, late, "__clerk_handshake_nonce").Value,
		"invented": "x", "missing": "",
	} {
		a := backendCall(t, s, http.MethodGet, "/v1/clients/handshake_payload?nonce="+nonce, "")
		if a.status != http.StatusNotFound || a.code() != "resource_not_found" {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
		}
	}
	b.shake(testPage, nil)
	if got := len(s.state.handshakes); got != 1 {
		t.Errorf("%d handshakes are kept, want the last one alone", got)
	}
}

func TestPagesThatAHandshakeGoesBackTo(t *testing.T) {
	s := start(t, Config{
		Domain:     "app.dev",
		ProxyURLs:  []string{"https://app.dev/__clerk", "http://localhost:8080/__clerk"},
		Satellites: []Satellite{{Domain: "satellite.dev", ProxyURLs: []string{"https://satellite.dev/__clerk"}}},
	})
	b := newBrowser(t, s)
	b.proxyURL = "https://app.dev/__clerk"
	for page, want := range map[string]int{
		"https://app.dev/":                      307,
		"https://app.dev":                       307,
		"https://www.app.dev:8443/a%2Fb?x=1;2#": 307,
		"https://satellite.dev/x":               307,
		"http://localhost:8080/x":               307,
		"http://localhost:3000/x":               307, // the application beside its proxy
		"":                                      400,
		"/account":                              422,
		"//app.dev/":                            422,
		"http://app.dev/":                       422,
		"https://evil.test/":                    422,
		"https://app.dev.evil.test/":            422,
		"https://evilapp.dev/":                  422,
		"https://app.dev@evil.test/":            422,
		"https://user@app.dev/":                 422,
		`https://evil.test\.app.dev/`:           422,
		`https://evil.test\@app.dev/`:           422,
		"https:app.dev":                         422,
		"javascript://app.dev/%0aalert(1)":      422,
		"data:text/html,app.dev":                422,
		"http://127.0.0.1:8080/":                422, // loopback, but not where the domain is
		"http://localhost.evil.test/":           422,
		"https://app.dev/\r\nSet-Cookie: x=1":   422,
		"https://[::1/":                         422,
	} {
		a := b.shake(page, nil)
		if a.status != want {
			t.Errorf("%q: got %d %s, want %d", page, a.status, a.body, want)
		}
		if location := a.header.Get("Location"); (location != "") != (want == 307) {
			t.Errorf("%q: it goes to %s", page, location)
		}
		if want != 307 && (len(a.header["Set-Cookie"]) > 0 || a.at("errors.0.meta.param_name") != "redirect_url") {
			t.Errorf("%q: %v %s", page, a.header, a.body)
		}
	}
}

func TestHandshakesThatAreRefused(t *testing.T) {
	_, b, _ := signInServer(t)
	if a := b.shake(testPage, url.Values{"format": {"cookie"}}); a.status != http.StatusUnprocessableEntity || a.code() != "form_param_value_invalid" {
		t.Errorf("an unknown format: %d %s", a.status, a.body)
	}
	if a := b.post("/v1/client/handshake", url.Values{"redirect_url": {testPage}}); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a POST: %d %s", a.status, a.body)
	}
	b.proxyURL = "https://example.com/other"
	if a := b.shake(testPage, nil); a.status != http.StatusBadRequest || a.code() != "host_invalid" || a.header.Get("Location") != "" {
		t.Errorf("a proxy that is not registered: %d %s", a.status, a.body)
	}
}

func TestAHandshakeIsForTheSessionThatTheServerFound(t *testing.T) {
	s, b, _ := signInServer(t)
	first := b.signIn(ada)
	// Two sessions in one browser cannot come about in this instance; in the
	// state they can.
	s.mu.Lock()
	cl := s.state.sessions[0]
	second := *cl
	second.id = newID("sess")
	owner := s.state.clients[cl.clientID]
	owner.sessions, s.state.sessions = append(owner.sessions, &second), append(s.state.sessions, &second)
	s.mu.Unlock()
	token := func(id string) string {
		return b.post("/v1/client/sessions/"+id+"/tokens", nil).at("jwt").(string)
	}
	template, err := jwt.Signed(s.keys.current().template).Claims(object{"sid": second.id}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	forged := slices.Concat([]byte(token(second.id)[:20]), []byte(token(second.id)[20:]))
	forged[len(forged)-5] ^= 1
	for name, tt := range map[string]struct{ token, want string }{
		"none":                 {"", first},
		"of the first":         {token(first), first},
		"of the second":        {token(second.id), second.id},
		"of another class":     {template, first},
		"with a bad signature": {string(forged), first},
		"that is no token":     {"x", first},
	} {
		cookies := payload(t, s, b.shake(testPage, url.Values{"__session": {tt.token}}))
		if _, got := claims(t, cookies["__session"].Value, s.keys.current().private.Public()); got["sid"] != tt.want {
			t.Errorf("a token %s: it is for %v, want %v", name, got["sid"], tt.want)
		}
	}
}

func TestAHandshakeOnLoopback(t *testing.T) {
	const proxyURL = "http://127.0.0.1:8080/__clerk"
	s := start(t, Config{ProxyURLs: []string{proxyURL}, Users: []User{ada}})
	b := newBrowser(t, s)
	b.proxyURL = proxyURL
	b.signIn(ada)
	a := b.shake("http://127.0.0.1:3000/x", nil)
	cookies := payload(t, s, a)
	if got := sessionClaims(t, cookies["__session"].Value); got["azp"] != "http://127.0.0.1:3000" || got["iss"] != proxyURL {
		t.Errorf("claims %v", got)
	}
	for name, c := range cookies {
		if c.Secure || c.Domain != "" {
			t.Errorf("%s is %v: a browser would refuse it", name, c)
		}
	}
	if c := brought(t, a, "__clerk_handshake_nonce"); c.Secure || c.Domain != "" {
		t.Errorf("the nonce is %v: a browser would refuse it", c)
	}
}

var onlyRS256 = []jose.SignatureAlgorithm{jose.RS256}

// sessionClaims reads a session token's claims, whoever signed it.
func sessionClaims(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, onlyRS256)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
