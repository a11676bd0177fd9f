package emulator

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

var script = strings.Repeat("export const answer = 42;\n", 200)

// npmServer serves two made-up packages of a directory that also holds files
// which must not be served.
func npmServer(t *testing.T) *Server {
	t.Helper()
	directory := t.TempDir()
	for name, content := range map[string]string{
		"secret.txt": "secret",
		"node_modules/@clerk/clerk-js/package.json":       `{"version": "6.40.0"}`,
		"node_modules/@clerk/clerk-js/dist/clerk.js":      script,
		"node_modules/@clerk/clerk-js/dist/clerk.mjs":     script,
		"node_modules/@clerk/clerk-js/dist/with space.js": script,
		"node_modules/@clerk/clerk-js/dist/clerk.js.map":  `{}`,
		"node_modules/@clerk/broken/package.json":         `{}`,
		"node_modules/@other/package/package.json":        `{"version": "1.0.0"}`,
		"node_modules/@other/package/index.js":            script,
	} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(directory, "secret.txt"), filepath.Join(directory, "node_modules/@clerk/clerk-js/dist/link.js")); err != nil {
		t.Fatal(err)
	}
	return start(t, Config{NPMDir: directory})
}

func npmGet(t *testing.T, s *Server, path string, header http.Header) answer {
	t.Helper()
	r := request(t, http.MethodGet, s.FrontendAPI+path, "")
	for name, values := range header {
		r.Header[name] = values
	}
	return do(t, s.testClient(), r)
}

func TestAVersionThatIsNotExactRedirects(t *testing.T) {
	s := npmServer(t)
	for _, wanted := range []string{"", "@6", "@6.40", "@latest", "@^6.1.0", "@~6.40.0", "@6.x", "@6.40.x"} {
		a := npmGet(t, s, "/npm/@clerk/clerk-js"+wanted+"/dist/clerk.js", nil)
		if a.status != http.StatusTemporaryRedirect || a.header.Get("Location") != "/npm/@clerk/clerk-js@6.40.0/dist/clerk.js" {
			t.Errorf("%q: got %d, Location %q", wanted, a.status, a.header.Get("Location"))
		}
		if strings.Contains(a.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%q: the redirect is immutable", wanted)
		}
	}
}

func TestAnExactVersionIsImmutable(t *testing.T) {
	s := npmServer(t)
	for file, contentType := range map[string]string{
		"dist/clerk.js":        "text/javascript; charset=utf-8",
		"dist/clerk.mjs":       "text/javascript; charset=utf-8",
		"dist/with%20space.js": "text/javascript; charset=utf-8",
		"dist/clerk.js.map":    "application/json",
		"package.json":         "application/json",
	} {
		a := npmGet(t, s, "/npm/@clerk/clerk-js@6.40.0/"+file, nil)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != contentType ||
			a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			a.header.Get("Vary") != "Accept-Encoding" || a.header.Get("Etag") == "" || a.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: got %d %v", file, a.status, a.header)
		}
	}
}

func TestAssetsAreCompressedAsAsked(t *testing.T) {
	s := npmServer(t)
	tags := map[string]string{}
	for accept, want := range map[string]string{
		"br":                          "br",
		"gzip":                        "gzip",
		"gzip, deflate, br, zstd":     "br",
		"br;q=0, gzip":                "gzip",
		"br;q=0.5, gzip;q=0.9":        "gzip",
		"*":                           "br",
		"*;q=0":                       "",
		"identity, br;q=0.5":          "",
		"deflate":                     "",
		"br;q=nonsense":               "",
		"BR":                          "br",
		"gzip;q=1.0, identity; q=0.5": "gzip",
	} {
		a := npmGet(t, s, "/npm/@clerk/clerk-js@6.40.0/dist/clerk.js", http.Header{"Accept-Encoding": {accept}})
		if got := a.header.Get("Content-Encoding"); got != want {
			t.Errorf("%q: encoded as %q, want %q", accept, got, want)
			continue
		}
		var plain io.Reader = bytes.NewReader(a.body)
		switch want {
		case "br":
			plain = brotli.NewReader(plain)
		case "gzip":
			var err error
			if plain, err = gzip.NewReader(plain); err != nil {
				t.Fatal(err)
			}
		}
		if body, err := io.ReadAll(plain); err != nil || string(body) != script {
			t.Errorf("%q: %d bytes, %v", accept, len(body), err)
		}
		if want != "" && len(a.body) > len(script)/10 {
			t.Errorf("%q: %d bytes of %d are left", accept, len(a.body), len(script))
		}
		tags[want] = a.header.Get("Etag")
	}
	if tags["br"] == tags["gzip"] || tags["br"] == tags[""] {
		t.Errorf("encodings share an entity tag: %v", tags)
	}
}

func TestConditionalRequests(t *testing.T) {
	s := npmServer(t)
	const path = "/npm/@clerk/clerk-js@6.40.0/dist/clerk.js"
	tag := npmGet(t, s, path, nil).header.Get("Etag")
	for field, want := range map[string]int{
		tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, "": 200,
	} {
		a := npmGet(t, s, path, http.Header{"If-None-Match": {field}})
		if a.status != want || want == 304 && (len(a.body) != 0 || a.header.Get("Etag") != tag || a.header.Get("Vary") == "") {
			t.Errorf("%q: got %d %v", field, a.status, a.header)
		}
	}
}

func TestAHeadHasTheHeaderOfAGet(t *testing.T) {
	s := npmServer(t)
	r := request(t, http.MethodHead, s.FrontendAPI+"/npm/@clerk/clerk-js@6.40.0/dist/clerk.js", "")
	if a := do(t, s.testClient(), r); a.status != 200 || len(a.body) != 0 || a.header.Get("Content-Length") == "" {
		t.Errorf("got %d %v", a.status, a.header)
	}
}

func TestWhatNPMDoesNotServe(t *testing.T) {
	s := npmServer(t)
	for name, path := range map[string]string{
		"another exact version":     "/npm/@clerk/clerk-js@6.39.0/dist/clerk.js",
		"another major version":     "/npm/@clerk/clerk-js@5/dist/clerk.js",
		"an unknown tag":            "/npm/@clerk/clerk-js@canary/dist/clerk.js",
		"nothing but x":             "/npm/@clerk/clerk-js@x/dist/clerk.js",
		"a package of someone else": "/npm/@other/package@1.0.0/index.js",
		"a package that is missing": "/npm/@clerk/ui@1/dist/ui.browser.js",
		"a package without version": "/npm/@clerk/broken@1/x.js",
		"a file that is missing":    "/npm/@clerk/clerk-js@6.40.0/dist/none.js",
		"a directory":               "/npm/@clerk/clerk-js@6.40.0/dist",
		"a directory with a slash":  "/npm/@clerk/clerk-js@6.40.0/dist/",
		"no file":                   "/npm/@clerk/clerk-js@6.40.0/",
		"a link that leads out":     "/npm/@clerk/clerk-js@6.40.0/dist/link.js",
		"dots":                      "/npm/@clerk/clerk-js@6.40.0/../../../secret.txt",
		"escaped dots":              "/npm/@clerk/clerk-js@6.40.0/%2e%2e/%2e%2e/%2e%2e/secret.txt",
		"escaped slashes":           "/npm/@clerk/clerk-js@6.40.0/..%2f..%2f..%2fsecret.txt",
		"dots for a package":        "/npm/@clerk/..%2f..@1/secret.txt",
		"an absolute file":          "/npm/@clerk/clerk-js@6.40.0/%2fetc/passwd",
		"a zero byte":               "/npm/@clerk/clerk-js@6.40.0/dist/clerk.js%00",
		"no package":                "/npm/",
	} {
		t.Run(name, func(t *testing.T) {
			a := npmGet(t, s, path, nil)
			if a.status != http.StatusNotFound || a.code() != "resource_not_found" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v %s", a.status, a.header, a.body)
			}
		})
	}
}

func TestWithoutPackagesNPMSaysWhatToInstall(t *testing.T) {
	s := start(t, Config{})
	if a := npmGet(t, s, "/npm/@clerk/clerk-js@6/dist/clerk.browser.js", nil); a.status != 404 || !strings.Contains(a.at("errors.0.message").(string), "npm install") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
