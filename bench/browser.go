package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/clerkproxy/clerkproxy/emulator"
)

// The ways in which a page gets ClerkJS.
const (
	wayProxied = "through clerk-proxy"
	wayDirect  = "direct"
)

var browserWays = []string{wayDirect, wayProxied}

// browser is everything that a real start of ClerkJS takes: an emulated Clerk,
// a page, clerk-proxy, the distances between them, and Chromium.
type browser struct {
	e     *environment
	emu   *emulator.Server
	proxy *instance
	stops []func()
	// ports, where Chromium finds the page's host and the Frontend API's.
	page, fapi map[string]string
	spki       string
	ready      chan float64
}

func startBrowser(ctx context.Context, e *environment) (_ *browser, err error) {
	if _, err := exec.LookPath("chromium"); err != nil {
		return nil, fmt.Errorf("chromium is not installed; type: make chromium")
	}
	b := &browser{e: e, page: map[string]string{}, fapi: map[string]string{}, ready: make(chan float64, 1)}
	defer func() {
		if err != nil {
			b.stop()
		}
	}()
	b.emu, err = emulator.Start(emulator.Config{Domain: appHost, ProxyURLs: []string{proxyURL}, NPMDir: filepath.Join(e.root, "npm")})
	if err != nil {
		return nil, err
	}
	config, err := e.certs.server()
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	b.spki = base64.StdEncoding.EncodeToString(sum[:])

	fapi, err := b.serve(b.frontendAPI(), config)
	if err != nil {
		return nil, err
	}
	app, err := b.serve(http.HandlerFunc(b.app), nil)
	if err != nil {
		return nil, err
	}
	appTLS, err := b.serve(http.HandlerFunc(b.app), config)
	if err != nil {
		return nil, err
	}

	proxyToFAPI, err := newLink(ctx, fapi, browserFAPIRTT)
	if err != nil {
		return nil, err
	}
	if err := b.startProxy(ctx, proxyToFAPI.address(), "http://"+app); err != nil {
		return nil, err
	}
	for _, l := range []struct {
		ports       map[string]string
		way, target string
	}{
		{b.page, wayDirect, appTLS},
		{b.page, wayProxied, b.proxy.address},
		{b.fapi, wayDirect, fapi},
		// Nothing asks for it; Chromium would look the name up otherwise.
		{b.fapi, wayProxied, fapi},
	} {
		far, err := newLink(ctx, l.target, browserRTT)
		if err != nil {
			return nil, err
		}
		l.ports[l.way] = far.address()
	}
	// The first start fills caches, and is not counted.
	for _, way := range browserWays {
		if _, err := b.open(ctx, way); err != nil {
			return nil, fmt.Errorf("%s: %w", way, err)
		}
	}
	return b, nil
}

func (b *browser) stop() {
	b.proxy.stop()
	for _, stop := range b.stops {
		stop()
	}
	if b.emu != nil {
		b.emu.Close()
	}
}

// serve serves on a free port until stop, with HTTP/2 if there is TLS.
func (b *browser) serve(h http.Handler, config *tls.Config) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	// Chromium is ended in the middle of things; that is no news.
	srv := &http.Server{Handler: h, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	if config != nil {
		go func() { _ = srv.ServeTLS(listener, "", "") }()
	} else {
		go func() { _ = srv.Serve(listener) }()
	}
	b.stops = append(b.stops, func() { _ = srv.Close() })
	return listener.Addr().String(), nil
}

// frontendAPI is the emulated Clerk as both ways see it, so that what it costs
// is the same. To the browser itself it does what Clerk's edge does for a
// domain that uses DNS: it knows the domain by the host, and allows its origin.
func (b *browser) frontendAPI() http.Handler {
	target, err := url.Parse(b.emu.FrontendAPI)
	if err != nil {
		panic(err) // the emulator made it
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if r.In.Header.Get("Clerk-Secret-Key") == "" {
				r.Out.Header.Set("Clerk-Proxy-Url", proxyURL)
				r.Out.Header.Set("Clerk-Secret-Key", b.emu.SecretKey)
				r.Out.Header.Set("X-Forwarded-For", "127.0.0.1")
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if r := resp.Request; r.Context().Value(directKey{}) != nil {
				allowOrigin(resp.Header, r.Header.Get("Origin"))
			}
			return nil
		},
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: b.emu.RootCAs()},
			MaxIdleConnsPerHost: 64,
			DisableCompression:  true,
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Clerk-Secret-Key") != "" {
			proxy.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodOptions {
			h := w.Header()
			allowOrigin(h, r.Header.Get("Origin"))
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
			h.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), directKey{}, true)))
	})
}

// directKey marks the requests that come from a browser itself.
type directKey struct{}

func allowOrigin(h http.Header, origin string) {
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Authorization")
}

// app is the application: a page of either way, and where it reports.
func (b *browser) app(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ready":
		ms, err := strconv.ParseFloat(r.URL.Query().Get("ms"), 64)
		if err == nil {
			select {
			case b.ready <- ms:
			default:
			}
		}
		w.WriteHeader(http.StatusNoContent)
	case "/direct":
		b.writePage(w, "https://"+fapiHost, "")
	case "/proxied":
		b.writePage(w, proxyURL, fmt.Sprintf("data-clerk-proxy-url=%q", proxyURL))
	default:
		http.NotFound(w, r)
	}
}

func (b *browser) writePage(w http.ResponseWriter, fapi, attribute string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html>
<meta charset="utf-8">
<title>ClerkJS starts</title>
<script async crossorigin="anonymous" data-clerk-publishable-key=%q %s
  src="%s/npm/@clerk/clerk-js@6/dist/clerk.browser.js" onload="start()"></script>
<script>
async function start() {
  await Clerk.load();
  await fetch('/ready?ms=' + performance.now());
}
</script>
`, b.emu.PublishableKey, attribute, fapi)
}

func (b *browser) startProxy(ctx context.Context, fapi, app string) error {
	port, err := b.e.freePort()
	if err != nil {
		return err
	}
	s := setting{environment: b.e, dir: b.e.dir, port: port, http2: true, upstream: fapi}
	cmd, err := serve(s, b.emu.PublishableKey, b.emu.SecretKey, "--app", app)
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), cmd.Env...)
	process, err := startProcess(cmd)
	if err != nil {
		return err
	}
	b.proxy = &instance{address: s.listen(), process: process}
	for deadline := time.Now().Add(10 * time.Second); ; sleep(ctx, 50*time.Millisecond) {
		conn, err := net.Dial("tcp", b.proxy.address)
		if err == nil {
			return conn.Close()
		}
		if process.ended() || time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("clerk-proxy does not listen: %s", process.output())
		}
	}
}

// open opens the page in a Chromium that has never seen it, and returns after
// how many milliseconds ClerkJS was ready.
func (b *browser) open(ctx context.Context, way string) (float64, error) {
	profile, err := os.MkdirTemp(b.e.dir, "chromium-")
	if err != nil {
		return 0, err
	}
	path := map[string]string{wayDirect: "/direct", wayProxied: "/proxied"}[way]
	select {
	case <-b.ready: // a late report of a start that was given up
	default:
	}
	process, err := startProcess(exec.Command("chromium",
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--user-data-dir="+profile,
		"--ignore-certificate-errors-spki-list="+b.spki,
		fmt.Sprintf("--host-resolver-rules=MAP %s:443 %s, MAP %s:443 %s", appHost, b.page[way], fapiHost, b.fapi[way]),
		"https://"+appHost+path))
	if err != nil {
		return 0, err
	}
	defer process.stop()
	select {
	case ms := <-b.ready:
		return ms, nil
	case <-time.After(20 * time.Second):
		return 0, fmt.Errorf("ClerkJS did not start within 20 s: %s", process.output())
	case <-process.done:
		return 0, fmt.Errorf("chromium ended: %s", process.output())
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
