package auth

import (
	"strings"
	"testing"
)

func TestPathPatterns(t *testing.T) {
	for _, tt := range []struct{ pattern, path, slug string }{
		{"/orgs/:slug", "/orgs/acme", "acme"},
		{"/orgs/:slug", "/orgs/acme/", "acme"},
		{"/orgs/:slug", "/ORGS/Acme", "Acme"},
		{"/orgs/:slug", "/orgs/acme/x", "-"},
		{"/orgs/:slug", "/orgs", "-"},
		{"/orgs/:slug", "/x/orgs/acme", "-"},
		{"/orgs/:slug", "/orgs/a%20b", "a%20b"},
		{"/orgs/:slug/(.*)", "/orgs/acme/x/y", "acme"},
		{"/orgs/:slug/(.*)", "/orgs/acme", "-"},
		{"/orgs/:slug?", "/orgs", ""},
		{"/orgs/:slug?", "/orgs/acme", "acme"},
		{"/:lang(en|de)/:slug", "/de/acme", "acme"},
		{"/:lang(en|de)/:slug", "/fr/acme", "-"},
		{"/a{/b}?/:slug", "/a/b/acme", "acme"},
		{"/a{/b}?/:slug", "/a/acme", "acme"},
		{"/{@:slug}", "/@acme", "acme"},
		{"/x-:slug", "/x-acme", "acme"},
		{"/:a-:slug", "/x-acme", "acme"},
		{"/:rest*/orgs/:slug", "/a/b/orgs/acme", "acme"},
		{"/:rest*/orgs/:slug", "/orgs/acme", "acme"},
		{"/:rest+/orgs/:slug", "/orgs/acme", "-"},
		{`/a\:b/:slug`, "/a:b/acme", "acme"},
		{"/a.b/:slug", "/axb/acme", "-"},
		{"/(?:a|b)/:slug", "", "error"},
		{"/((?:a|b))/:slug", "/b/acme", "acme"},
		{"/:slug.html", "/acme.html", "acme"},
		{"", "/", ""},
		{"/orgs/:", "", "error"},
		{"/orgs/:slug(", "", "error"},
		{"/orgs/:slug()", "", "error"},
		{"/orgs/:slug(a(b))", "", "error"},
		{"/orgs/:slug((?<x>a))", "", "error"},
		{"/orgs/{:slug", "", "error"},
		{"/orgs/}", "", "error"},
		{"/orgs/*", "", "error"},
		{"/a:b:slug", "", "error"},
		{"/orgs/:slug*", "", "error"},
		{`/orgs\`, "", "error"},
		{"/orgs/:slug(?=x)", "", "error"},
		{"/:a--:slug", "", "error"},
		{strings.Repeat("x", maxPatternBytes+1), "", "error"},
	} {
		p, err := compilePathPattern(tt.pattern)
		if (err != nil) != (tt.slug == "error") {
			t.Errorf("%s: %v", tt.pattern, err)
		}
		if err != nil {
			continue
		}
		params, ok := p.match(tt.path)
		if ok != (tt.slug != "-") || ok && params["slug"] != tt.slug {
			t.Errorf("%s on %s: %q, %v", tt.pattern, tt.path, params, ok)
		}
	}
}
