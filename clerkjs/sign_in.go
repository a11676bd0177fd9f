package clerkjs

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The parameters of links to the sign-in page and back. See
// https://clerk.com/docs/guides/dashboard/dns-domains/satellite-domains
const (
	paramRedirect   = "redirect_url"
	paramSynced     = "__clerk_synced"
	syncNeeded      = "false"
	paramDevBrowser = "__clerk_db_jwt"
)

// SignInURL is the sign-in page, with the way back: a path of this application,
// an absolute URL, or empty for the page that answers the request. A way back to
// another origin than the page's own and Config.AllowedRedirectOrigins is not
// used: it may be an attacker's. The link then leads back to this page.
//
// On a satellite the way back makes the satellite learn about the new session.
func (p *Provider) SignInURL(r *http.Request, back string) string {
	return p.link(r, p.signInPage(), back)
}

// SignUpURL is the sign-up page, as SignInURL is the sign-in page. When only a
// sign-in page is configured, that one is for both.
func (p *Provider) SignUpURL(r *http.Request, back string) string {
	return p.link(r, p.signUpPage(), back)
}

func (p *Provider) signInPage() *url.URL {
	if p.signIn != nil {
		return p.signIn
	}
	return &url.URL{Scheme: "https", Host: accountPortal(p.instance.FrontendAPI), Path: "/sign-in"}
}

func (p *Provider) signUpPage() *url.URL {
	switch {
	case p.signUp != nil:
		return p.signUp
	case p.signIn != nil:
		// The component for signing in shows the one for signing up there.
		return p.signIn.JoinPath("create")
	default:
		return &url.URL{Scheme: "https", Host: accountPortal(p.instance.FrontendAPI), Path: "/sign-up"}
	}
}

// accountPortal is the host of Clerk's account portal, which stands beside the
// Frontend API: accounts.app.dev for clerk.app.dev.
func accountPortal(frontendAPI string) string {
	host := strings.Replace(frontendAPI, "clerk.accountsstage.", "accountsstage.", 1)
	before, after, found := strings.Cut(host, "clerk.")
	if !found {
		return host
	}
	return before + "accounts." + strings.TrimPrefix(after, "accounts.")
}

func (p *Provider) link(r *http.Request, page *url.URL, back string) string {
	public := p.publicURL(r)
	if public == nil {
		return page.String()
	}
	to := public.ResolveReference(page)
	elsewhere := originHost(to) != originHost(public)

	way := p.wayBack(public, back)
	if elsewhere && p.satellite {
		way.RawQuery = setParam(way.RawQuery, paramSynced, syncNeeded)
	}
	to.RawQuery = setParam(to.RawQuery, paramRedirect, way.String())
	// In development the sites share no cookies, so the token that stands for
	// the browser goes with it.
	if token := p.devBrowser(r); elsewhere && token != "" {
		to.RawQuery = setParam(to.RawQuery, paramDevBrowser, token)
	}
	return to.String()
}

// wayBack is where a link leads back to: the public URL of the request, unless
// there is another that is allowed.
func (p *Provider) wayBack(public *url.URL, back string) *url.URL {
	way, err := public.Parse(back)
	if err != nil || back == "" {
		return public
	}
	// ClerkJS refuses such a path too: what drops the origin has another host.
	if strings.HasPrefix(way.Path, "//") {
		return public
	}
	origin := originOf(way)
	if origin == "" || origin != originOf(public) && !slices.Contains(p.allowed, origin) {
		return public
	}
	_, way.Host, _ = strings.Cut(origin, "://")
	return way
}

// originHost is what tells a satellite from its primary domain: host and port.
func originHost(u *url.URL) string {
	_, host, _ := strings.Cut(originOf(u), "://")
	return host
}

func (p *Provider) devBrowser(r *http.Request) string {
	if p.instance.Live {
		return ""
	}
	for _, name := range []string{paramDevBrowser + "_" + p.instance.CookieSuffix(), paramDevBrowser} {
		if c, err := r.Cookie(name); err == nil && c.Value != "" {
			return c.Value
		}
	}
	return ""
}

// setParam sets a parameter of a query and leaves the bytes of all others alone.
func setParam(query, name, value string) string {
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if unescaped, err := url.QueryUnescape(key); pair == "" || err == nil && unescaped == name {
			continue
		}
		pairs = append(pairs, pair)
	}
	return strings.Join(append(pairs, name+"="+url.QueryEscape(value)), "&")
}
