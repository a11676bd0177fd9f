package config

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write writes files into a directory and returns it.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const twoSites = `
listen: [127.0.0.1:8080, 127.0.0.1:8081]
trusted_proxies: none
client_ip_header: CF-Connecting-IP
asset_cache: 0
drain_timeout: 1m30s
admin: {listen: off}
log: {format: json, level: warn}
sites:
  - hosts: app.dev
    publishable_key: &key pk_live_Y2xlcmsuYXBwLmRldiQ
    secret_key_file: app.key
    app: http://localhost:3000
    app_timeout: 0s
  - name: shop
    hosts: [shop.dev, "*.shop.dev"]
    proxy_url: https://shop.dev/auth
    publishable_key: *key
    secret_key_env: KEY
    authenticate: true
    satellite: true
    sign_in_url: https://app.dev/sign-in
    authorized_parties: https://shop.dev
    app: http://localhost:4000
`

func TestAFileIsReadAsItSays(t *testing.T) {
	withoutClerk(t)
	dir := write(t, map[string]string{"clerk-proxy.yaml": twoSites, "app.key": secretKey + "\n"})
	source := Source{File: filepath.Join(dir, "clerk-proxy.yaml"), Getenv: environment}
	loaded, files, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen:         []string{"127.0.0.1:8080", "127.0.0.1:8081"},
		TrustedProxies: []string{"none"},
		ClientIPHeader: "CF-Connecting-IP",
		AssetCache:     "0",
		DrainTimeout:   90 * time.Second,
		WatchInterval:  time.Second, // the default
		Admin:          Admin{Listen: "off"},
		Log:            Log{Format: "json", Level: "warn"},
		Sites: []Site{{
			Name:           "app.dev", // of its hosts
			Hosts:          []string{"app.dev"},
			ProxyURL:       "/__clerk", // the default
			PublishableKey: publishableKey,
			SecretKeyFile:  filepath.Join(dir, "app.key"), // beside the configuration
			FrontendAPIURL: "https://frontend-api.clerk.dev",
			App:            "http://localhost:3000",
		}, {
			Name:              "shop",
			Hosts:             []string{"shop.dev", "*.shop.dev"},
			ProxyURL:          "https://shop.dev/auth",
			PublishableKey:    publishableKey,
			SecretKeyEnv:      "KEY",
			FrontendAPIURL:    "https://frontend-api.clerk.dev",
			App:               "http://localhost:4000",
			AppTimeout:        time.Minute, // the default
			Authenticate:      true,
			Satellite:         true,
			SignInURL:         "https://app.dev/sign-in",
			AuthorizedParties: []string{"https://shop.dev"},
			BackendAPIURL:     "https://api.clerk.com",
		}},
	}
	if !reflect.DeepEqual(loaded.Config, want) {
		t.Errorf("got\n%+v\nwant\n%+v", loaded.Config, want)
	}
	s := loaded.Server
	if s.Sites[0].Proxy.SecretKey != secretKey || s.Sites[1].Proxy.SecretKey != secretKey || s.Sites[0].AppTimeout != -1 ||
		s.TrustedProxies == nil || len(s.TrustedProxies) != 0 || s.Sites[0].Authentication != nil || !s.Sites[1].Authentication.IsSatellite {
		t.Errorf("got %+v", s)
	}
	if len(loaded.Warnings) != 0 {
		t.Errorf("got %q", loaded.Warnings)
	}
	if files.Digest() != files.DigestNow() {
		t.Error("the files have changed by being read")
	}
}

func TestTheEffectiveConfigurationIsAFileThatSaysTheSame(t *testing.T) {
	withoutClerk(t)
	dir := write(t, map[string]string{"clerk-proxy.yaml": twoSites, "app.key": secretKey})
	source := Source{File: filepath.Join(dir, "clerk-proxy.yaml"), Getenv: environment}
	loaded, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := loaded.WriteYAML(&written); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(written.String(), secretKey) || strings.Count(written.String(), "# set, sk_live_…") != 2 {
		t.Errorf("got\n%s", &written)
	}
	again := Source{File: filepath.Join(write(t, map[string]string{"again.yaml": written.String()}), "again.yaml"), Getenv: environment}
	reloaded, _, err := again.Load()
	if err != nil {
		t.Fatalf("%v\n%s", err, &written)
	}
	if !reflect.DeepEqual(reloaded.Config, loaded.Config) {
		t.Errorf("got\n%+v\nwant\n%+v", reloaded.Config, loaded.Config)
	}
}

func TestFlagsGoBeforeTheFile(t *testing.T) {
	withoutClerk(t)
	dir := write(t, map[string]string{"clerk-proxy.yaml": twoSites, "app.key": secretKey})
	flags := Default()
	flags.Listen, flags.Log.Level, flags.AssetCache = []string{"8080"}, "debug", "1MiB"
	source := Source{
		File: filepath.Join(dir, "clerk-proxy.yaml"), Getenv: environment,
		Flags: flags, Given: []string{"listen", "log.level"}, FlagOf: func(key string) string { return "--" + key + ": " },
	}
	_, _, err := source.Load()
	if err == nil || !strings.HasPrefix(err.Error(), `--listen: "8080" is not an address`) {
		t.Fatalf("a flag's problem is not said of the flag: %v", err)
	}
	source.Flags.Listen = []string{":8080"}
	loaded, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	if c := loaded.Config; c.Listen[0] != ":8080" || c.Log.Level != "debug" || c.Log.Format != "json" || c.AssetCache != "0" {
		t.Errorf("got %+v", c)
	}
}

func TestWarningsSayWhereTheyComeFrom(t *testing.T) {
	withoutClerk(t)
	dir := write(t, map[string]string{"app.key": secretKey, "clerk-proxy.yaml": `
trusted_proxies: [10.0.0.0/8, ::/0]
sites:
  - publishable_key: pk_live_Y2xlcmsuYXBwLmRldiQ
    secret_key_file: app.key
`})
	if err := os.Chmod(filepath.Join(dir, "app.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "clerk-proxy.yaml")
	source := Source{File: file, Getenv: environment}
	loaded, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		file + ":2: trusted_proxies: ::/0 trusts everyone",
		file + ":4: sites[0].hosts: is not set: every Host is accepted",
		file + ":5: sites[0].secret_key_file: every user of this machine can read the secret key",
	} {
		if i >= len(loaded.Warnings) || !strings.HasPrefix(loaded.Warnings[i], want) {
			t.Errorf("no %q in %q", want, loaded.Warnings)
		}
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	source := Source{File: filepath.Join(t.TempDir(), "clerk-proxy.yaml")}
	_, files, err := source.Load()
	if err == nil || err.Error() != source.File+" cannot be read: no such file or directory" {
		t.Errorf("got %v", err)
	}
	if files.Digest() != files.DigestNow() {
		t.Error("a file that is missing still is a change")
	}
}

func TestAChangedFileHasAnotherDigest(t *testing.T) {
	// As Kubernetes mounts a secret: the file is a link through a directory
	// that is a link, and that one is replaced.
	dir := t.TempDir()
	for name, key := range map[string]string{"one": "sk_live_one", "two": "sk_live_two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "key"), []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("one", "..data")
	link("..data/key", "key")

	var files Files
	if _, _, err := files.open(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	before := files.Digest()
	if files.DigestNow() != before {
		t.Error("nothing has changed")
	}
	link("two", "..data")
	if files.DigestNow() == before {
		t.Error("another key is no change")
	}
	link("one", "..data")
	if files.DigestNow() != before {
		t.Error("the first key again is a change")
	}
	if err := os.Remove(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	if files.DigestNow() == before {
		t.Error("a key that is gone is no change")
	}
}

func TestAPipeIsReadOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString(secretKey); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var files Files
	content, _, err := files.open(fmt.Sprintf("/dev/fd/%d", r.Fd()))
	if err != nil || string(content) != secretKey {
		t.Fatalf("got %q, %v", content, err)
	}
	if files.DigestNow() != files.Digest() {
		t.Error("that it cannot be read again is a change")
	}
}

func TestNearestKeys(t *testing.T) {
	keys := []string{"listen", "hosts", "app", "app_timeout", "frontend_api_url", "proxy_url"}
	for key, want := range map[string]string{
		"lisen": "listen", "Listen": "listen", "host": "hosts", "hots": "hosts", "ap": "", "app_timout": "app_timeout",
		"fapi_url": "frontend_api_url", "clerk_proxy_url": "proxy_url", "colour": "", "x": "",
	} {
		if got := nearest(key, keys); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// TestTheExampleOfTheGuide reads the file that docs/configuration.md shows.
func TestTheExampleOfTheGuide(t *testing.T) {
	withoutClerk(t)
	guide, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(guide), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("there is no example")
	}
	dir := write(t, map[string]string{"app": secretKey, "other": secretKey, "egress-ca.pem": authority(t)})
	for _, elsewhere := range []string{"/run/secrets", "/etc/ssl"} {
		example = strings.ReplaceAll(example, elsewhere, dir)
	}
	source := Source{File: filepath.Join(write(t, map[string]string{"example.yaml": example}), "example.yaml"), Getenv: func(name string) string {
		return map[string]string{"APP_SECRET_KEY": secretKey}[name]
	}}
	loaded, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded.Config.Sites) != 3 || len(loaded.Warnings) != 1 || !strings.Contains(loaded.Warnings[0], "sites[2].hosts: is not set") {
		t.Errorf("got %d sites, %q", len(loaded.Config.Sites), loaded.Warnings)
	}
	// It shows every key that there is.
	for _, each := range []any{Config{}, Log{}, Site{}} {
		for _, key := range keysOf(reflect.TypeOf(each)) {
			if key != "allow_development" && !strings.Contains(example, key+":") {
				t.Errorf("%s is not in the example", key)
			}
		}
	}
}

// authority is a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}
