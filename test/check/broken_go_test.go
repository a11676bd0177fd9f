package check

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/check"
)

// What nginx does not do wrong, but functions of platforms and proxies of one's
// own do.
func TestABrokenProxyIsDiagnosed(t *testing.T) {
	inbound := func(spoil func(*http.Response) error) handler { return handler{inbound: spoil} }
	body := func(spoil func(*http.Response, []byte) []byte) handler {
		return inbound(func(r *http.Response) error {
			if !isScript(r) {
				return nil
			}
			content, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			content = spoil(r, content)
			r.Body = io.NopCloser(bytes.NewReader(content))
			if r.Header.Get("Content-Length") != "" {
				r.Header.Set("Content-Length", strconv.Itoa(len(content)))
			}
			return nil
		})
	}
	answering := func(status int, header http.Header, content string) handler {
		return handler{before: func(w http.ResponseWriter, _ *http.Request) bool {
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			fmt.Fprint(w, content)
			return true
		}}
	}
	forwardedFor := func(address string) handler {
		return handler{outbound: func(r *http.Request) { r.Header.Set("X-Forwarded-For", address) }}
	}
	tests := []struct {
		name   string
		proxy  handler
		faults []fault
	}{
		{"redirects are followed", handler{follow: true},
			[]fault{fails("redirects", `follows Clerk's redirects itself.*redirect: "manual"`)}},
		{"cookies are folded into one", inbound(func(r *http.Response) error {
			if lines := r.Header["Set-Cookie"]; len(lines) > 1 {
				r.Header["Set-Cookie"] = []string{strings.Join(lines, ", ")}
			}
			return nil
		}), []fault{fails("cookies", `several cookies arrive in one Set-Cookie.*: __client_uat and __client_uat_`)}},
		{"only the last cookie comes back", inbound(func(r *http.Response) error {
			if lines := r.Header["Set-Cookie"]; len(lines) > 1 {
				r.Header["Set-Cookie"] = lines[len(lines)-1:]
			}
			return nil
		}), []fault{fails("cookies", `only __client_uat_\w+ arrives; __client_uat is lost`)}},
		{"everything is compressed twice", inbound(func(r *http.Response) error {
			content, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(gzipped(gzipped(content))))
			r.Header.Del("Content-Length")
			r.Header.Set("Content-Encoding", "gzip")
			return err
		}), []fault{fails("path", "no browser can decompress")}},
		{"scripts are compressed twice", body(func(_ *http.Response, content []byte) []byte { return gzipped(content) }),
			[]fault{fails("clerkjs", `cannot be decompressed \(br\).*one place compress`)}},
		{"scripts are compressed twice in the same way", body(func(r *http.Response, content []byte) []byte {
			return brotlied(content)
		}), []fault{fails("clerkjs", `compressed twice, and says so once \(br\)`)}},
		{"scripts are compressed twice, gzip within brotli", body(func(r *http.Response, content []byte) []byte {
			return brotlied(gzipped(unbrotlied(content)))
		}), []fault{fails("clerkjs", `compressed twice`)}},
		{"scripts are compressed and do not say so", body(func(r *http.Response, content []byte) []byte {
			r.Header.Del("Content-Encoding")
			return content
		}), []fault{fails("clerkjs", `compressed, and does not say so`)}},
		{"scripts are decompressed and do not say so", body(func(r *http.Response, content []byte) []byte {
			return unbrotlied(content)
		}), []fault{fails("clerkjs", `says that it is compressed \(br\), and is not`)}},
		{"scripts break off within their compression", body(func(_ *http.Response, content []byte) []byte { return content[:len(content)/2] }),
			[]fault{fails("clerkjs", `breaks off within its compression \(br\)`)}},
		{"scripts break off without compression", body(func(r *http.Response, content []byte) []byte {
			r.Header.Del("Content-Encoding")
			return unbrotlied(content)[:60_000]
		}), []fault{fails("clerkjs", `cut short: 60000 bytes of 100\d+ arrive`)}},
		{"scripts break off with the connection", inbound(func(r *http.Response) error {
			if isScript(r) {
				r.Body = io.NopCloser(io.LimitReader(r.Body, 10_000)) // of those that were announced
			}
			return nil
		}), []fault{fails("clerkjs", `breaks off: \d+ KB arrive, and the connection ends`)}},
		{"scripts are rewritten", body(func(r *http.Response, content []byte) []byte {
			return brotlied(bytes.ReplaceAll(unbrotlied(content), []byte("return"), []byte("return  ")))
		}), []fault{warns("clerkjs", `changed on the way`)}},
		{"scripts come as text", inbound(func(r *http.Response) error {
			if isScript(r) {
				r.Header.Set("Content-Type", "text/plain")
			}
			return nil
		}), []fault{fails("clerkjs", `comes as "text/plain", which browsers do not run`)}},
		{"scripts are redirected in circles", handler{before: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "@6.40.0") {
				return false
			}
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		}}, []fault{fails("clerkjs", `redirected again and again`)}},
		{"everyone is the proxy's own machine", forwardedFor("10.0.3.7"),
			[]fault{fails("address", `Clerk was told 10.0.3.7, that of something between`)}},
		{"the proxy has the path, and what is in front cuts it off",
			answering(http.StatusBadRequest, nil, `{"errors":[{"code":"proxy_path_mismatch","message":"no"}]}`),
			[]fault{fails("path", `under another path than the proxy has.*do not cut the path off`)}},
		{"the host is not accepted", answering(http.StatusMisdirectedRequest, nil, `{"errors":[{"code":"proxy_request_failed","message":"no"}]}`),
			[]fault{fails("path", `does not accept this host \(421\).*--host`)}},
		{"the proxy does not reach Clerk", answering(http.StatusBadGateway, nil, `{"errors":[{"code":"proxy_request_failed","message":"no"}]}`),
			[]fault{fails("path", `the proxy does not reach Clerk \(502\)`)}},
		{"Clerk does not answer the proxy", answering(http.StatusGatewayTimeout, nil, `{"errors":[{"code":"proxy_request_failed","message":"no"}]}`),
			[]fault{fails("path", `Clerk does not answer the proxy in time \(504\)`)}},
		{"Cloudflare wants a browser", answering(http.StatusForbidden, http.Header{"Cf-Mitigated": {"challenge"}, "Content-Type": {"text/html"}}, "<title>Just a moment...</title>"),
			[]fault{fails("path", `a challenge, 403`)}},
		{"Clerk is sent the application's host", answering(http.StatusForbidden, http.Header{"Server": {"cloudflare"}, "Content-Type": {"text/html"}}, "<title>DNS points to prohibited IP</title>"),
			[]fault{fails("path", `Host: frontend-api.clerk.dev`)}},
		{"Cloudflare does not reach the server", answering(522, http.Header{"Server": {"cloudflare"}, "Content-Type": {"text/html"}}, "<title>522</title>"),
			[]fault{fails("path", `Cloudflare does not get an answer from the server behind it \(522\)`)}},
		{"an answer would write to the terminal", answering(http.StatusOK, http.Header{"Content-Type": {"text/html"}}, "<title>\x1b[2J\x07evil\u202e</title>"),
			[]fault{fails("path", `a page titled "\\x1b\[2J\\aevil\\u202e" answers`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxyURL := s.inGo(tt.proxy)
			s.enable(proxyURL)
			wantFaults(t, s.check(proxyURL), tt.faults...)
		})
	}
}

func isScript(r *http.Response) bool {
	return r.StatusCode == http.StatusOK && strings.HasSuffix(r.Request.URL.Path, ".js")
}

func gzipped(plain []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}

func brotlied(plain []byte) []byte {
	var b bytes.Buffer
	w := brotli.NewWriter(&b)
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}

func unbrotlied(compressed []byte) []byte {
	plain, err := io.ReadAll(brotli.NewReader(bytes.NewReader(compressed)))
	if err != nil {
		panic(err)
	}
	return plain
}

// Ours, configured as one should not.
func TestOursConfiguredWrongIsDiagnosed(t *testing.T) {
	tests := []struct {
		name   string
		change func(*clerkproxy.Config)
		faults []fault
	}{
		{"it serves other hosts", func(c *clerkproxy.Config) { c.Hosts = []string{"app.dev"} },
			[]fault{fails("path", `does not accept this host \(421\)`)}},
		{"it has another path", func(c *clerkproxy.Config) { c.ProxyURL = "/api/clerk" },
			[]fault{fails("path", `404`)}},
		{"it has the URL of another place", func(c *clerkproxy.Config) { c.ProxyURL = "https://app.dev/__clerk" },
			[]fault{
				fails("environment", `does not recognise the proxy's requests`),
				fails("redirects", `another proxy URL than this: https://app.dev/__clerk/npm/`),
				fails("acceptance", "does not accept"),
			}},
		{"it trusts everybody", func(c *clerkproxy.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
			c.ClientIPHeader = "True-Client-IP"
		}, []fault{fails("spoofing", `with the header X-Forwarded-For and True-Client-IP`)}},
		{"it has another instance's secret key", func(c *clerkproxy.Config) { c.SecretKey = "sk_live_ofAnotherInstance" },
			[]fault{fails("health", "another secret key"), fails("environment", "another secret key"), fails("acceptance", "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxyURL := s.ours("127.0.0.1:0", func(c *clerkproxy.Config) {
				c.TrustedProxies = []netip.Prefix{}
				tt.change(c)
			})
			s.enable(proxyURL)
			wantFaults(t, s.check(proxyURL), tt.faults...)
		})
	}
}

// An nginx in front of ours, which does not trust it.
func TestANetworkInFrontThatIsNotTrusted(t *testing.T) {
	s := newSite(t)
	ours := s.ours("127.0.0.3:0", func(c *clerkproxy.Config) { c.TrustedProxies = []netip.Prefix{} })
	proxyURL := s.nginx("127.0.0.1", front(ours))
	s.enable(proxyURL)
	wantFaults(t, s.check(proxyURL), fails("address", `Clerk was told 127.0.0.2.*--trusted-proxies with its addresses`))
}

// A proxy that does not answer takes no longer than it may.
func TestAProxyThatDoesNotAnswer(t *testing.T) {
	s := newSite(t)
	proxyURL := s.inGo(handler{before: func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}})
	report := s.check(proxyURL, func(c *check.Config) { c.Timeout = 50 * time.Millisecond })
	wantFaults(t, report, fails("path", "no answer comes in time"))
}
