package server

import (
	"net/url"
	"strings"
	"testing"
)

// Whatever is asked for, a redirect leads to the host that it names, and to what
// the client has sent.
func FuzzOriginForm(f *testing.F) {
	for _, target := range []string{"/", "/page?x", "//evil.example/", "http://app.dev", "http://app.dev?x", "http://app.dev/a%2Fb", "https://user@evil.example/", "*", "app.dev:443", "/http://app.dev/", "://", "http:///", ""} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, ok := originForm(target)
		if !ok {
			return
		}
		if !strings.HasPrefix(got, "/") || !strings.HasSuffix(target, got) && !strings.HasSuffix(target, got[1:]) {
			t.Fatalf("%q leads to %q", target, got)
		}
		if u, err := url.Parse("https://app.dev" + got); err == nil && (u.Host != "app.dev" || u.User != nil) {
			t.Errorf("%q leads to %s", target, u.Host)
		}
	})
}
