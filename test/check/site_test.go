package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/emulator"
	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

const (
	domain    = "app.dev"
	proxyPath = "/__clerk"
)

// site is an emulated Clerk, and the proxy that is checked.
type site struct {
	t   *testing.T
	emu *emulator.Server
	ca  *authority // of the proxy's certificate
}

func newSite(t *testing.T) *site {
	t.Helper()
	t.Parallel()
	s := &site{t: t, ca: newAuthority(t)}
	emu, err := emulator.Start(emulator.Config{
		Domain: domain,
		NPMDir: packages(t),
		ProxyCheckTransport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: s.ca.pool()},
			DisableKeepAlives: true,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(emu.Close)
	s.emu = emu
	return s
}

// packages stand for Clerk's own: of the size, and as dense, as scripts are.
func packages(t *testing.T) string {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var script strings.Builder
	script.WriteString("globalThis.Clerk=function(){};")
	for script.Len() < 100_000 {
		fmt.Fprintf(&script, "function f%x(a){return a*%d}", random.Uint32(), random.Uint32())
	}
	directory := t.TempDir()
	for name, content := range map[string]string{
		"package.json":          `{"version": "6.40.0"}`,
		"dist/clerk.browser.js": script.String(),
	} {
		path := filepath.Join(directory, "node_modules/@clerk/clerk-js", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// enable sets a proxy URL, whatever Clerk thinks of it.
func (s *site) enable(proxyURL string) {
	s.t.Helper()
	if err := s.emu.RegisterProxyURL(proxyURL); err != nil {
		s.t.Fatal(err)
	}
}

// check is what clerk-proxy check does, with the keys. On loopback everybody is
// like a proxy in front, so the machine says that it is a stranger.
func (s *site) check(proxyURL string, change ...func(*check.Config)) check.Report {
	s.t.Helper()
	config := check.Config{
		ProxyURL:       proxyURL,
		PublishableKey: s.emu.PublishableKey,
		SecretKey:      s.emu.SecretKey,
		FrontendAPIURL: s.emu.FrontendAPI,
		BackendAPIURL:  s.emu.BackendAPI,
		RootCAs:        s.ca.pool(),
		ClerkRootCAs:   s.emu.RootCAs(),
		Stranger:       true,
	}
	for _, each := range change {
		each(&config)
	}
	report, err := check.Run(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Log(text(report))
		}
	})
	if strings.Contains(text(report), s.emu.SecretKey) {
		s.t.Error("the report holds the secret key")
	}
	return report
}

func text(r check.Report) string {
	var b strings.Builder
	for _, step := range r.Steps {
		fmt.Fprintf(&b, "%-8s%-13s%s\n", step.Status, step.Name, step.Seen)
		if step.Advice != "" {
			fmt.Fprintf(&b, "%21s→ %s\n", "", step.Advice)
		}
	}
	return b.String()
}

// fault is a step that shall not be fine, with words that it says.
type fault struct {
	step   string
	status check.Status
	words  string // a regular expression; of what was seen and the advice
}

func fails(step, words string) fault { return fault{step, check.Fail, words} }
func warns(step, words string) fault { return fault{step, check.Warn, words} }

// wantFaults wants these faults to be named, and no others.
func wantFaults(t *testing.T, r check.Report, faults ...fault) {
	t.Helper()
	for _, want := range faults {
		i := slices.IndexFunc(r.Steps, func(s check.Step) bool { return s.Name == want.step })
		if i < 0 {
			t.Errorf("there is no step %s", want.step)
			continue
		}
		step := r.Steps[i]
		if said := step.Seen + " → " + step.Advice; step.Status != want.status || !regexp.MustCompile(want.words).MatchString(said) {
			t.Errorf("%s: %s, %s\nwant %s, %s", step.Name, step.Status, said, want.status, want.words)
		}
	}
	for _, step := range r.Steps {
		named := slices.ContainsFunc(faults, func(f fault) bool { return f.step == step.Name })
		if !named && (step.Status == check.Fail || step.Status == check.Warn) {
			t.Errorf("a false alarm: %s, %s", step.Name, step.Seen)
		}
		if step.Status == check.Fail && step.Advice == "" {
			t.Errorf("%s fails and does not say what to do", step.Name)
		}
	}
}

// wantSkipped wants just these steps not to have been taken.
func wantSkipped(t *testing.T, r check.Report, names ...string) {
	t.Helper()
	for _, step := range r.Steps {
		if skipped := step.Status == check.Skipped; skipped != slices.Contains(names, step.Name) {
			t.Errorf("%s: %s, %s", step.Name, step.Status, step.Seen)
		}
	}
}

// ours runs the real server until the test ends, and returns its proxy URL.
func (s *site) ours(listen string, change func(*clerkproxy.Config)) string {
	s.t.Helper()
	listening := make(chan net.Addr, 1)
	config := clerkproxy.Config{
		PublishableKey: s.emu.PublishableKey,
		SecretKey:      s.emu.SecretKey,
		FrontendAPIURL: s.emu.FrontendAPI,
		RootCAs:        s.emu.RootCAs(),
		ProxyURL:       proxyPath,
		AssetCache:     64 << 20,
	}
	if change != nil {
		change(&config)
	}
	trusted, header := config.TrustedProxies, config.ClientIPHeader
	config.TrustedProxies, config.ClientIPHeader = nil, ""
	srv, err := server.New(server.Config{
		Listen:         []string{listen},
		Sites:          []server.Site{{Proxy: config}},
		TrustedProxies: trusted,
		ClientIPHeader: header,
		Logger:         quiet,
		OnListen:       func(addr net.Addr, _ string) { listening <- addr },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }() // ends with the test
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	select {
	case addr := <-listening:
		return "http://" + addr.String() + proxyPath
	case err := <-ended:
		ended <- err
		s.t.Fatal(err)
		return ""
	}
}

// address is host and port of a URL.
func address(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func pool(certificates ...*x509.Certificate) *x509.CertPool {
	all := x509.NewCertPool()
	for _, each := range certificates {
		all.AddCert(each)
	}
	return all
}
