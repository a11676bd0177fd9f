package check

import (
	"net"
	"testing"

	"github.com/clerkproxy/clerkproxy/internal/check"
	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

// What can be wrong with an nginx, each with the configuration that makes it so.
func TestABrokenNginxIsDiagnosed(t *testing.T) {
	replaced := func(pairs ...string) func(*site) string {
		return func(s *site) string {
			return s.nginx("127.0.0.1", replacing(s.t, nginxProxy(s.t), pairs...)+nginxApp)
		}
	}
	refused := fails("acceptance", "Clerk does not accept")
	tests := []struct {
		name   string
		proxy  func(*site) string
		faults []fault
	}{
		{"no secret key is sent",
			replaced("proxy_set_header Clerk-Secret-Key {secret-key};", ""),
			[]fault{
				fails("health", "does not send the secret key"),
				fails("environment", "does not send the secret key"), refused,
			}},
		{"another instance's secret key is sent",
			replaced("{secret-key}", "sk_live_ofAnotherInstance"),
			[]fault{
				fails("health", "another secret key than this instance's"),
				fails("environment", "another secret key"), refused,
			}},
		{"the proxy URL is sent with a slash at its end",
			replaced("Clerk-Proxy-Url {proxy-url}", "Clerk-Proxy-Url {proxy-url}/"),
			[]fault{
				fails("health", "must not end with a slash.* → .*Clerk-Proxy-Url: http://127.0.0.1:\\d+/__clerk to the letter"),
				fails("environment", "does not recognise the proxy's requests .*no slash at its end"), refused,
			}},
		{"the proxy URL is sent with another scheme",
			replaced("Clerk-Proxy-Url {proxy-url}", "Clerk-Proxy-Url http://app.dev{path}"),
			[]fault{
				fails("health", "must use https"),
				fails("environment", "does not recognise the proxy's requests .*https, the same host"), refused,
			}},
		{"no proxy URL is sent",
			replaced("proxy_set_header Clerk-Proxy-Url {proxy-url};", ""),
			[]fault{
				fails("health", "host_invalid.*set the header Clerk-Proxy-Url once"),
				fails("environment", "host_invalid"), refused,
			}},
		{"no address is sent",
			replaced("proxy_set_header X-Forwarded-For $remote_addr;", ""),
			[]fault{fails("health", "X-Forwarded-For header must begin with the IP address"), refused}},
		{"the path is not cut off",
			replaced("proxy_pass {fapi}/;", "proxy_pass {fapi};"),
			[]fault{fails("path", "asked for another path, most likely with /__clerk left in front.* → .*proxy_pass with a slash")}},
		{"too much of the path is cut off",
			replaced("proxy_pass {fapi}/;", "rewrite ^{path}/v1(/.*)$ $1 break; proxy_pass {fapi};"),
			[]fault{fails("path", "cuts off more of the path than its own: Clerk is asked for /environment")}},
		{"v1 is put in front of the path",
			replaced("proxy_pass {fapi}/;", "proxy_pass {fapi}/v1/;"),
			[]fault{fails("path", "puts /v1 in front of the path")}},
		{"the query is lost",
			replaced("location {path}/ {", "location ~ ^{path}(/.*)$ {", "proxy_pass {fapi}/;", "proxy_pass {fapi}$1;"),
			[]fault{
				fails("health", "the query of the request does not reach Clerk.*is_args"),
				fails("posts", "not the _method in its query"), refused,
			}},
		{"the application answers on the path",
			func(s *site) string { return s.nginx("127.0.0.1", nginxApp) },
			[]fault{fails("path", `a page titled "Acme Store" answers with status 200, not Clerk → .*send every request under /__clerk/ to the proxy`)}},
		{"nothing is on the path",
			func(s *site) string { return s.nginx("127.0.0.1", "") },
			[]fault{fails("path", `nothing is at this path: a page titled "404 Not Found" answers 404`)}},
		{"nothing runs behind nginx",
			replaced("{fapi}", "http://127.0.0.1:"+closedPort(t)),
			[]fault{fails("path", `nginx/\S+ does not reach what is behind it \(502\)`)}},
		{"everything is redirected to https",
			func(s *site) string { return s.nginx("127.0.0.1", "return 301 https://$host$request_uri;") },
			[]fault{fails("path", "everything is redirected to https")}},
		{"a slash is added",
			replaced("location {path}/ {", "location ~ ^{path}/.*[^/]$ { return 301 $scheme://$http_host$uri/; }\n    location {path}/ {"),
			[]fault{fails("path", "redirected only to add or remove a slash")}},
		{"another host is canonical",
			func(s *site) string { return s.nginx("127.0.0.1", "return 301 $scheme://www.app.dev$request_uri;") },
			[]fault{fails("path", `redirected to another host, http://www.app.dev/__clerk/v1/environment`)}},
		{"one has to sign in first",
			func(s *site) string { return s.nginx("127.0.0.1", "return 302 /login?next=$request_uri;") },
			[]fault{fails("path", `sent to sign in first, at http://127.0.0.1(:\d+)?/login → `)}},
		{"a password is asked for",
			replaced("proxy_pass", `auth_basic "staging"; auth_basic_user_file /dev/null; proxy_pass`),
			[]fault{fails("path", `a password is asked for \(401\)`)}},
		{"a firewall refuses",
			replaced("proxy_pass", "deny all; proxy_pass"),
			[]fault{fails("path", `nginx/\S+ refuses the request \(403\)`)}},
		{"redirects are not rewritten",
			replaced("proxy_redirect / {path}/;", ""),
			[]fault{fails("redirects", `out of the proxy's path, to the application: http://127.0.0.1:\d+/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js.*proxy_redirect`)}},
		{"redirects lead past the proxy",
			replaced("proxy_redirect / {path}/;", "proxy_redirect / {fapi}/;"),
			[]fault{fails("redirects", `to the Frontend API, past the proxy`)}},
		{"anyone can choose the address",
			replaced("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"),
			[]fault{fails("spoofing", `with the header X-Forwarded-For → .*\$remote_addr`)}},
		{"anyone can choose the address by the header of a network that is not in front",
			replaced("proxy_pass", "set_real_ip_from 0.0.0.0/0; real_ip_header CF-Connecting-IP; proxy_pass"),
			[]fault{fails("spoofing", `with the header CF-Connecting-IP → .*set_real_ip_from`)}},
		{"no cookie comes back",
			replaced("proxy_pass", "proxy_hide_header Set-Cookie; proxy_pass"),
			[]fault{fails("cookies", "no cookie arrives, though Clerk sets __client_uat and __client_uat_")}},
		{"bodies are lost",
			replaced("proxy_pass", `proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass`),
			[]fault{fails("posts", "a POST arrives without its body")}},
		{"only GET is let through",
			replaced("proxy_pass", `if ($request_method !~ ^(GET|HEAD)$) { return 405; } proxy_pass`),
			[]fault{fails("posts", "a POST does not reach Clerk: status 405")}},
		{"everything is cached",
			replaced("proxy_pass", `proxy_cache cache; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control Set-Cookie Vary; proxy_pass`),
			[]fault{fails("caching", `came twice: something in front keeps it`), refused}},
		{"the secret key is sent to visitors",
			replaced("proxy_pass", `add_header Clerk-Secret-Key {secret-key} always; proxy_pass`),
			[]fault{fails("secrecy", `the header Clerk-Secret-Key of the answer to /v1/environment.*replace the key at once.*add_header`)}},
		{"nothing is compressed",
			replaced("proxy_pass", `proxy_set_header Accept-Encoding ""; proxy_pass`),
			[]fault{warns("clerkjs", `arrives whole, but not compressed: 1\d\d KB`)}},
		{"scripts are served from elsewhere",
			replaced("location {path}/ {", "location ~ \\.js$ { return 404; }\n    location {path}/ {"),
			[]fault{fails("clerkjs", `ClerkJS does not arrive: status 404`)}},
		{"everyone has the address of the network in front",
			func(s *site) string {
				inner := s.nginx("127.0.0.3", nginxProxy(s.t))
				return s.nginx("127.0.0.1", replacing(s.t, front(inner), "Host $http_host", "Host "+address(inner)))
			},
			// The inner proxy goes by its own name; what matters here is whom it takes for the visitor.
			[]fault{
				fails("address", `Clerk was told 127.0.0.2, that of something between this machine and the proxy, though this machine is 127.0.0.1`),
				fails("environment", "does not recognise"), refused,
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			proxyURL := tt.proxy(s)
			s.enable(proxyURL)
			wantFaults(t, s.check(proxyURL), tt.faults...)
		})
	}
}

// closedPort is a port at which nothing answers.
func closedPort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// A step that keeps others from being taken is named by them.
func TestWhatCannotBeAskedIsSkipped(t *testing.T) {
	s := newSite(t)
	report := s.check(s.nginx("127.0.0.1", nginxApp))
	wantFaults(t, report, fails("path", "Acme"))
	for _, step := range report.Steps {
		if step.Name == "redirects" && (step.Status != check.Skipped || step.Seen != "nothing more can be seen before this works: path") {
			t.Errorf("%s: %s, %s", step.Name, step.Status, step.Seen)
		}
	}
}
