package emulator

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The cookies that the Frontend API sets.
const (
	cookieClient    = "__client"
	cookieClientUAT = "__client_uat"
	cookieHandshake = "__clerk_handshake"
	cookieNonce     = "__clerk_handshake_nonce"
)

// The cookies that a handshake has the application's server set. ClerkJS sets
// __session too.
const (
	cookieSession = "__session"
	cookieRefresh = "__refresh"
)

// setCookies brings the browser's cookies in line with its client: each one that
// differs is set, each on its own line, and nothing else is.
func (c *call) setCookies(w http.ResponseWriter) {
	var token string
	if c.client != nil {
		token = c.client.token
	}
	if c.cookie(cookieClient) != token {
		set := c.newCookie(cookieClient, token)
		set.HttpOnly = true
		if token == "" {
			set = expired(*set)
		}
		http.SetCookie(w, set)
	}

	uat := strconv.FormatInt(c.client.uat(c.now), 10)
	for _, name := range c.names(cookieClientUAT, true) {
		// Absent means signed out too: a visitor who does not ask gets no cookie
		// for nothing.
		if has := c.cookie(name); has != uat && (has != "" || uat != "0" || c.asked) {
			set := c.newCookie(name, uat)
			// Every host of the domain, server and page alike, may read this
			// one; __client stays with the Frontend API's host.
			set.Domain = c.cookieDomain()
			http.SetCookie(w, set)
		}
	}
}

func (c *call) newCookie(name, value string) *http.Cookie {
	return &http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   int(clientLifetime / time.Second),
		SameSite: http.SameSiteLaxMode,
		// Clerk always says Secure. An emulator may be behind a proxy on plain
		// http and loopback, and there browsers drop a Secure cookie unless the
		// host is localhost by name.
		Secure: strings.HasPrefix(c.proxyURL, "https:"),
	}
}

// expired is the same cookie, for the browser to forget.
func expired(cookie http.Cookie) *http.Cookie {
	cookie.Value, cookie.MaxAge, cookie.Expires = "", -1, time.Unix(0, 0)
	return &cookie
}

// cookieDomain is the domain's name where the browser is on it. On loopback it
// is not, and would refuse the cookie; so there the cookie is the host's own.
func (c *call) cookieDomain() string {
	u, err := url.Parse(c.proxyURL)
	if err != nil || net.ParseIP(u.Hostname()) != nil || !c.domain.owns(u.Hostname()) || !strings.Contains(c.domain.name, ".") {
		return ""
	}
	return c.domain.name
}

func (c *call) cookie(name string) string {
	cookie, err := c.request.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}
