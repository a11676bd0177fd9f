package demo

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/user"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
	"github.com/clerkproxy/clerkproxy/clerkjs"
	"github.com/clerkproxy/clerkproxy/emulator"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

//go:embed assets
var assets embed.FS

var page = template.Must(template.ParseFS(assets, "assets/page.html"))

// contentSecurityPolicy is the pages' own, to which package clerkjs adds what
// ClerkJS needs. Both come to this: nothing from any other origin.
const contentSecurityPolicy = "default-src 'none'; " +
	"script-src 'self'; " +
	"connect-src 'self'; " +
	"img-src 'self'; " +
	"style-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// appearance gives Clerk's components the page's colours, so that they follow it
// into the dark.
var appearance = map[string]any{
	"variables": map[string]string{
		"colorPrimary":           "var(--brand)",
		"colorPrimaryForeground": "var(--brand-ink)",
		"colorBackground":        "var(--surface)",
		"colorForeground":        "var(--ink)",
		"colorMutedForeground":   "var(--muted)",
		"colorMuted":             "var(--sunken)",
		"colorNeutral":           "var(--ink)",
		"colorInput":             "var(--surface)",
		"colorInputForeground":   "var(--ink)",
		"colorDanger":            "var(--bad)",
		"borderRadius":           "0.5rem",
		"fontFamily":             "var(--sans)",
	},
}

// app is the sample application, the one that the proxy is put in front of.
type app struct {
	site  *site
	proxy *clerkproxy.Proxy
	authn *auth.Authenticator
	clerk *clerkjs.Provider
	users *user.Client
	log   *slog.Logger
	// registerProxy tells Clerk of a proxy URL.
	registerProxy func(proxyURL string) error
}

// newApp wires the application as one's own would be: three packages that know
// from the proxy what they need.
func newApp(s *site, proxy *clerkproxy.Proxy, emulated *emulator.Server, requests http.Handler, log *slog.Logger) (http.Handler, error) {
	backend := http.DefaultTransport.(*http.Transport).Clone()
	backend.TLSClientConfig.RootCAs = emulated.RootCAs()

	// On the primary domain these are paths, on the satellite they lead there.
	signIn, signUp := s.primary+"/", s.primary+"/sign-up"
	var others []string
	if s.isSatellite {
		others = []string{s.primary}
	} else {
		signIn, signUp = "/", "/sign-up"
		if s.satellite != "" {
			others = []string{s.satellite}
		}
	}

	authn, err := auth.New(auth.Config{
		Proxy:         proxy,
		BackendAPIURL: emulated.BackendAPI,
		Transport:     backend,
		IsSatellite:   s.isSatellite,
		SignInURL:     signIn,
		SignUpURL:     signUp,
		Logger:        log,
	})
	if err != nil {
		return nil, err
	}
	provider, err := clerkjs.New(clerkjs.Config{
		Proxy:                  proxy,
		IsSatellite:            s.isSatellite,
		SignInURL:              signIn,
		SignUpURL:              signUp,
		AllowedRedirectOrigins: others,
		LoadOptions:            map[string]any{"appearance": appearance, "afterSignOutUrl": "/"},
		ContentSecurityPolicy:  contentSecurityPolicy,
		Features:               []clerkjs.Feature{}, // pictures are emulated too
		Logger:                 log,
	})
	if err != nil {
		return nil, err
	}
	a := &app{
		site:  s,
		proxy: proxy,
		authn: authn,
		clerk: provider,
		users: user.NewClient(&clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
			HTTPClient: &http.Client{Transport: backend, Timeout: 5 * time.Second},
			URL:        clerk.String(emulated.BackendAPI + "/v1"),
			Key:        clerk.String(emulated.SecretKey),
		}}),
		log:           log,
		registerProxy: func(proxyURL string) error { return s.register(emulated, proxyURL) },
	}
	return a.onLoopback(noteHandshakes(authn.Middleware(provider.Middleware(a.routes(requests))))), nil
}

func (a *app) routes(requests http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.signInPage(w, r, viewSignIn) })
	if !a.site.isSatellite {
		mux.HandleFunc("GET /sign-up", func(w http.ResponseWriter, r *http.Request) { a.signInPage(w, r, viewSignUp) })
	}
	mux.Handle("GET /account", a.authn.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.page(w, r, viewAccount, "") })))
	mux.Handle("GET /api/me", a.authn.Require(http.HandlerFunc(a.me)))

	mux.Handle("GET /demo/requests", requests)
	icon := asset("icon.svg", "image/svg+xml")
	mux.HandleFunc("GET /demo/icon.svg", icon)
	mux.HandleFunc("GET /favicon.ico", icon) // what browsers ask for unasked
	mux.HandleFunc("GET /demo/style.css", asset("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /demo/app.js", asset("app.js", "text/javascript; charset=utf-8"))
	return mux
}

// onLoopback lets in who opened the demo by a host that works, and makes sure
// that Clerk knows the proxy URL that goes with it: localhost or 127.0.0.1, with
// the port that the browser sees, which need not be ours.
func (a *app) onLoopback(next http.Handler) http.Handler {
	hosts, _, ok := forwarded.ParseHostSet(a.site.hosts)
	if !ok {
		panic("the site's hosts are no hosts")
	}
	policy := forwarded.Policy{Trusted: forwarded.DefaultTrustedProxies()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := policy.Source(r) // as the proxy sees it
		if source.Host == "" || !hosts.Accepts(source.Host, source.Scheme) {
			http.Error(w, "Open the demo by the address that it printed, at "+a.site.hosts[0]+": without TLS, browsers keep Clerk's cookies nowhere else.", http.StatusMisdirectedRequest)
			return
		}
		if err := a.registerProxy(source.Origin() + clerkproxy.DefaultPath); err != nil {
			http.Error(w, "The emulated Clerk does not accept a proxy at this address.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// The pages. They are one template.
const (
	viewSignIn  = "sign-in"
	viewSignUp  = "sign-up"
	viewAccount = "account"
)

// signInPage shows Clerk's card, or who is signed in. Who is signed in already
// has nothing to do there and goes on to where the link says.
func (a *app) signInPage(w http.ResponseWriter, r *http.Request, view string) {
	back := a.wayBack(r)
	if _, ok := auth.FromContext(r.Context()); ok && back != "" {
		clearNote(w, r)
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	a.page(w, r, view, back)
}

// wayBack is where a link to the sign-in page leads back to: to this site or to
// the other one, never elsewhere, as anyone can write a link.
func (a *app) wayBack(r *http.Request) string {
	back, err := url.Parse(r.URL.Query().Get("redirect_url"))
	own := a.proxy.PublicURL(r)
	if err != nil || own == nil || back.User != nil || back.Opaque != "" {
		return ""
	}
	to := back.Scheme + "://" + back.Host
	if to != own.Scheme+"://"+own.Host && (a.site.satellite == "" || to != a.site.satellite) {
		return ""
	}
	return back.String()
}

// person is who is signed in, as the Backend API describes them.
type person struct {
	Name, Email, Initials string
	UserID, SessionID     string
	Since                 string
}

func (a *app) person(ctx context.Context, s *auth.Session) *person {
	p := &person{Name: s.UserID, UserID: s.UserID, SessionID: s.ID}
	u, err := a.users.Get(ctx, s.UserID)
	if err != nil {
		a.log.Warn("the user could not be fetched from the Backend API", "error", err)
		return p
	}
	for _, address := range u.EmailAddresses {
		if u.PrimaryEmailAddressID != nil && address.ID == *u.PrimaryEmailAddressID {
			p.Email = address.EmailAddress
		}
	}
	p.Name = strings.TrimSpace(deref(u.FirstName) + " " + deref(u.LastName))
	p.Name = cmp.Or(p.Name, p.Email, s.UserID)
	for _, word := range strings.FieldsFunc(p.Name, func(c rune) bool { return c == ' ' || c == '@' }) {
		if len([]rune(p.Initials)) < 2 {
			p.Initials += strings.ToUpper(string([]rune(word)[:1]))
		}
	}
	p.Since = time.UnixMilli(u.CreatedAt).Format("2 January 2006, 15:04")
	return p
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// page renders a page for whoever is signed in. back is where Clerk's card goes
// once somebody is.
func (a *app) page(w http.ResponseWriter, r *http.Request, view, back string) {
	d := decided(r)
	var who *person
	if s, ok := auth.FromContext(r.Context()); ok {
		who = a.person(r.Context(), s)
	}
	query := ""
	if back != "" {
		query = "?" + url.Values{"redirect_url": {back}}.Encode()
	}
	var out bytes.Buffer
	err := page.Execute(&out, map[string]any{
		"Clerk":     a.clerk,
		"Request":   r,
		"View":      view,
		"Satellite": a.site.isSatellite,
		"Sites":     a.sites(),
		"Who":       who,
		"Decision":  d,
		"Back":      back,
		"BackQuery": template.URL(query),
		"Host":      r.Host,
		"ProxyPath": a.proxy.Path(),
		"Name":      userFirstName,
		"Email":     userEmail,
		"Password":  userPassword,
		"Code":      emulator.Code,
	})
	if err != nil {
		a.log.Error("the page could not be made", "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	clearNote(w, r)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	// By the origin, and no more of the address, the primary domain learns that
	// a visitor comes from the satellite.
	h.Set("Referrer-Policy", "strict-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out.Bytes())
}

// link is one of the sites, for the others' pages.
type link struct {
	Name, Address, Host string
	Here                bool
}

// sites are the links between the domains, if there are two.
func (a *app) sites() []link {
	if a.site.satellite == "" {
		return nil
	}
	host := func(address string) string { return strings.TrimPrefix(address, "http://") }
	return []link{
		{"Primary", a.site.primary, host(a.site.primary), !a.site.isSatellite},
		{"Satellite", a.site.satellite, host(a.site.satellite), a.site.isSatellite},
	}
}

// me is an API of the application's. It answers a page's script, which sends no
// token: the cookie goes with every request.
func (a *app) me(w http.ResponseWriter, r *http.Request) {
	s, _ := auth.FromContext(r.Context())
	who := a.person(r.Context(), s)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	_ = out.Encode(map[string]any{
		"user_id":          s.UserID,
		"session_id":       s.ID,
		"name":             who.Name,
		"email":            who.Email,
		"token_expires_at": s.ExpiresAt.UTC().Format(time.RFC3339),
	})
}

// asset answers with an embedded file. The next build may have another one
// under the same name, so nothing is kept without asking.
func asset(name, contentType string) http.HandlerFunc {
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded, or the program does not compile
	}
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(content)
	}
}
