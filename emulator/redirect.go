package emulator

import (
	"net/http"
	"net/url"
)

// redirect is what an endpoint answers when the browser shall go elsewhere.
type redirect struct {
	to     *url.URL
	cookie *http.Cookie // set on the way, unless nil
}

func (to redirect) write(w http.ResponseWriter) {
	if to.cookie != nil {
		http.SetCookie(w, to.cookie)
	}
	w.Header().Set("Location", to.to.String())
	// Browsers may keep a redirect, and this one is for one person, once.
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// redirectURL is where the browser wants to go back to. Anyone can write a link,
// so it must be on one of the instance's domains.
func (c *call) redirectURL() (*url.URL, error) {
	text := c.request.Form.Get("redirect_url")
	if text == "" {
		return nil, errMalformed.about("redirect_url")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, errRedirectURL.about("redirect_url")
	}
	for _, d := range c.server.state.domains {
		if d.hosts(u) {
			return u, nil
		}
	}
	return nil, errRedirectURL.about("redirect_url")
}

// hosts reports whether a URL is a page of the domain, which a browser may be
// sent to.
func (d *domain) hosts(u *url.URL) bool {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" {
		return false
	}
	if !isLoopback(u.Hostname()) {
		return u.Scheme == "https" && d.owns(u.Hostname())
	}
	// On loopback the domain is where its proxies are. The port may be another
	// one, the application's beside the proxy's: cookies do not tell ports apart.
	for _, proxyURL := range d.proxyURLs {
		if at, err := url.Parse(proxyURL); err == nil && at.Hostname() == u.Hostname() {
			return true
		}
	}
	return false
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// with is a URL with a parameter set to a value.
func with(u *url.URL, parameter, value string) *url.URL {
	changed := *u
	query := u.Query()
	query.Set(parameter, value)
	changed.RawQuery = query.Encode()
	return &changed
}

// at is an address below where the browser reaches the Frontend API.
func at(frontendAPI, path string, query url.Values) (*url.URL, error) {
	return url.Parse(frontendAPI + path + "?" + query.Encode())
}
