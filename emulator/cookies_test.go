package emulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func setCookies(t *testing.T, a answer) map[string]*http.Cookie {
	t.Helper()
	set := map[string]*http.Cookie{}
	for _, line := range a.header["Set-Cookie"] {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		set[cookie.Name] = cookie
	}
	return set
}

func TestAVisitorIsToldThatTheyAreSignedOut(t *testing.T) {
	s, b, _ := signInServer(t)
	if a := b.get("/v1/environment"); len(a.header["Set-Cookie"]) != 0 {
		t.Errorf("the environment sets %v", a.header["Set-Cookie"])
	}
	a := b.get("/v1/client")
	set := setCookies(t, a)
	if len(a.header["Set-Cookie"]) != 2 {
		t.Errorf("the client sets %v", a.header["Set-Cookie"])
	}
	for _, name := range []string{"__client_uat", "__client_uat_" + s.instance.CookieSuffix()} {
		if c := set[name]; c == nil || c.Value != "0" || c.Domain != "example.com" {
			t.Errorf("%s is %v", name, c)
		}
	}
	if a := b.get("/v1/client"); len(a.header["Set-Cookie"]) != 0 {
		t.Errorf("cookies that the browser has are set again: %v", a.header["Set-Cookie"])
	}
}

func TestSigningInSetsThreeCookiesEachOnItsOwnLine(t *testing.T) {
	s, b, clock := signInServer(t)
	path := b.begin(ada.Email)
	before := b.cookies["__client"].Value
	clock.advance(time.Minute)
	a := b.post(path+"/attempt_first_factor", url.Values{"strategy": {"password"}, "password": {ada.Password}})
	set := setCookies(t, a)
	if len(a.header["Set-Cookie"]) != 3 || len(set) != 3 {
		t.Fatalf("set %v", a.header["Set-Cookie"])
	}
	uat := strconv.FormatInt(clock.Now().Unix(), 10)
	for _, name := range []string{"__client_uat", "__client_uat_" + s.instance.CookieSuffix()} {
		if c := set[name]; c == nil || c.Value != uat || c.Domain != "example.com" || c.HttpOnly {
			t.Errorf("%s is %v", name, c)
		}
	}
	client := set["__client"]
	if client == nil || !client.HttpOnly || client.Domain != "" || client.Value == before {
		t.Errorf("__client is %v", client)
	}
	for name, c := range set {
		if c.Path != "/" || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 365*24*60*60 {
			t.Errorf("%s is %v", name, c)
		}
	}
	if a := b.get("/v1/client"); len(a.header["Set-Cookie"]) != 0 {
		t.Errorf("cookies that the browser has are set again: %v", a.header["Set-Cookie"])
	}
}

func TestCookiesFollowTheProxyURL(t *testing.T) {
	for proxyURL, want := range map[string]struct {
		secure bool
		domain string
	}{
		"https://app.dev/__clerk":        {true, "app.dev"},
		"https://www.app.dev/__clerk":    {true, "app.dev"},
		"https://localhost:8443/__clerk": {true, ""},
		"http://localhost:8080/__clerk":  {false, ""},
		"http://127.0.0.1:8080/__clerk":  {false, ""},
	} {
		t.Run(proxyURL, func(t *testing.T) {
			s := start(t, Config{Domain: "app.dev", ProxyURLs: []string{proxyURL}, Users: []User{ada}})
			b := newBrowser(t, s)
			b.proxyURL = proxyURL
			b.signIn(ada)
			if c := b.cookies["__client_uat"]; c.Secure != want.secure || c.Domain != want.domain {
				t.Errorf("got %v", c)
			}
			if c := b.cookies["__client"]; c.Secure != want.secure || c.Domain != "" {
				t.Errorf("got %v", c)
			}
		})
	}
}

func TestSigningOutSaysSoInTheCookies(t *testing.T) {
	_, b, _ := signInServer(t)
	b.signIn(ada)
	set := setCookies(t, b.post("/v1/client/sessions?_method=DELETE", nil))
	if len(set) != 2 || set["__client_uat"].Value != "0" {
		t.Errorf("signing out sets %v", set)
	}
	b.signIn(ada)
	set = setCookies(t, b.post("/v1/client?_method=DELETE", nil))
	if c := set["__client"]; len(set) != 3 || c.Value != "" || c.MaxAge >= 0 || !c.Expires.Before(time.Unix(1, 0)) {
		t.Errorf("forgetting the client sets %v", set)
	}
}

// What a browser has from another run, or from an attacker.
func TestAClientThatIsNotKnown(t *testing.T) {
	_, other, _ := signInServer(t)
	other.signIn(ada)
	foreign := other.cookies["__client"].Value

	s, mine, _ := signInServer(t)
	mine.signIn(ada)
	ours := mine.cookies["__client"].Value
	header, rest, _ := strings.Cut(ours, ".")
	payload, _, _ := strings.Cut(rest, ".")

	for name, value := range map[string]string{
		"another run's":     foreign,
		"no token":          "client_123",
		"unsigned":          header + "." + payload + ".",
		"another signature": header + "." + payload + "." + foreign[strings.LastIndexByte(foreign, '.')+1:],
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.cookies["__client"] = &http.Cookie{Name: "__client", Value: value}
			b.cookies["__client_uat"] = &http.Cookie{Name: "__client_uat", Value: "1700000000"}
			a := b.get("/v1/client")
			set := setCookies(t, a)
			if a.at("response") != nil || set["__client"] == nil || set["__client"].MaxAge >= 0 || set["__client_uat"].Value != "0" {
				t.Errorf("got %d %s, set %v", a.status, a.body, set)
			}
		})
	}
}

func TestACookieFromBeforeTheSignInIsWorthNothing(t *testing.T) {
	s, b, _ := signInServer(t)
	path := b.begin(ada.Email)
	planted := newBrowser(t, s)
	planted.cookies["__client"] = b.cookies["__client"]
	b.post(path+"/attempt_first_factor", url.Values{"strategy": {"password"}, "password": {ada.Password}})
	if a := planted.get("/v1/client"); a.at("response") != nil {
		t.Errorf("it shows the client: %s", a.body)
	}
}
