package demo

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/emulator"
	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

//go:embed assets
var assets embed.FS

var page = template.Must(template.ParseFS(assets, "assets/page.html"))

// contentSecurityPolicy is what a page with ClerkJS and Clerk's components
// needs when both come through the proxy: its own origin. Besides that, the
// components are styled by style elements, ClerkJS keeps time in a worker that
// it makes from a blob, and small pictures are data.
const contentSecurityPolicy = "default-src 'none'; " +
	"script-src 'self'; " +
	"connect-src 'self'; " +
	"img-src 'self' data:; " +
	"style-src 'self' 'unsafe-inline'; " +
	"worker-src 'self' blob:; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// loopbackHosts are where the demo can be opened. Clerk's cookies are Secure,
// and without TLS browsers keep such cookies for these hosts only. Besides, a
// name that somebody makes point here must not open it.
var loopbackHosts = []string{"localhost", "127.0.0.1", "[::1]"}

// app is the sample application, the one that the proxy is put in front of.
type app struct {
	publishableKey string
	// registerProxy tells Clerk of a proxy URL.
	registerProxy func(proxyURL string) error
	// requests is the stream of what went through the proxy.
	requests http.Handler
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.page(w, r, false) })
	mux.HandleFunc("GET /sign-up", func(w http.ResponseWriter, r *http.Request) { a.page(w, r, true) })
	mux.Handle("GET /demo/requests", a.requests)
	icon := asset("icon.svg", "image/svg+xml")
	mux.HandleFunc("GET /demo/icon.svg", icon)
	mux.HandleFunc("GET /favicon.ico", icon) // what browsers ask for unasked
	mux.HandleFunc("GET /demo/style.css", asset("style.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /demo/app.js", asset("app.js", "text/javascript; charset=utf-8"))
	return a.onLoopback(mux)
}

// onLoopback lets in who opened the demo by a host that works, and makes sure
// that Clerk knows the proxy URL that goes with it: localhost or 127.0.0.1, with
// the port that the browser sees, which need not be ours.
func (a *app) onLoopback(next http.Handler) http.Handler {
	hosts, _, ok := forwarded.ParseHostSet(loopbackHosts)
	if !ok {
		panic("loopbackHosts are no hosts")
	}
	policy := forwarded.Policy{Trusted: forwarded.DefaultTrustedProxies()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := policy.Source(r) // as the proxy sees it
		if source.Host == "" || !hosts.Accepts(source.Host, source.Scheme) {
			http.Error(w, "Open the demo at localhost, by the address that it printed: without TLS, browsers keep Clerk's cookies nowhere else.", http.StatusMisdirectedRequest)
			return
		}
		if err := a.registerProxy(source.Origin() + clerkproxy.DefaultPath); err != nil {
			http.Error(w, "The emulated Clerk does not accept a proxy at this address.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *app) page(w http.ResponseWriter, r *http.Request, signUp bool) {
	var out bytes.Buffer
	err := page.Execute(&out, map[string]any{
		"SignUp":         signUp,
		"Host":           r.Host,
		"ProxyPath":      clerkproxy.DefaultPath,
		"PublishableKey": a.publishableKey,
		"Name":           userFirstName,
		"Email":          userEmail,
		"Password":       userPassword,
		"Code":           emulator.Code,
	})
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out.Bytes())
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
