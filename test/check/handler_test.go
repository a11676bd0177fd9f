package check

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
)

// handler is the smallest proxy in Go that meets the contract. Each field spoils
// it.
type handler struct {
	// before answers a request itself, or not.
	before func(http.ResponseWriter, *http.Request) bool
	// outbound spoils the request to Clerk.
	outbound func(*http.Request)
	// inbound spoils Clerk's answer.
	inbound func(*http.Response) error
	// follow has the proxy follow redirects.
	follow bool
}

// inGo serves it, and returns its proxy URL.
func (s *site) inGo(h handler) string {
	server := httptest.NewUnstartedServer(nil)
	proxyURL := "http://" + server.Listener.Addr().String() + proxyPath
	server.Config.Handler = s.handler(proxyURL, h)
	server.Start()
	s.t.Cleanup(server.Close)
	return proxyURL
}

// inGoTLS does the same over TLS.
func (s *site) inGoTLS(certificate tls.Certificate) string {
	server := httptest.NewUnstartedServer(nil)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelWarn) // of those that look at the certificate alone
	proxyURL := "https://" + server.Listener.Addr().String() + proxyPath
	server.Config.Handler = s.handler(proxyURL, handler{})
	server.StartTLS()
	s.t.Cleanup(server.Close)
	return proxyURL
}

func (s *site) handler(proxyURL string, h handler) http.Handler {
	target, err := url.Parse(s.emu.FrontendAPI)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.emu.RootCAs()}, DisableCompression: true}
	s.t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.SetXForwarded() // of this peer alone
			p.Out.Header.Set("Clerk-Proxy-Url", proxyURL)
			p.Out.Header.Set("Clerk-Secret-Key", s.emu.SecretKey)
			if h.outbound != nil {
				h.outbound(p.Out)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if to := r.Header.Get("Location"); strings.HasPrefix(to, "/") {
				r.Header.Set("Location", proxyPath+to)
			}
			if h.inbound != nil {
				return h.inbound(r)
			}
			return nil
		},
	}
	if h.follow {
		proxy.Transport = following{&http.Client{Transport: transport}}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.before != nil && h.before(w, r) {
			return
		}
		http.StripPrefix(proxyPath, proxy).ServeHTTP(w, r)
	})
}

// following sends requests as fetch does unless it is told not to.
type following struct{ client *http.Client }

func (f following) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	return f.client.Do(out)
}
