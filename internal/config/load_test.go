package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
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
	if !maps.Equal(files.Digests(), files.DigestsNow()) {
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
	if !maps.Equal(files.Digests(), files.DigestsNow()) {
		t.Error("a file that is missing still is a change")
	}
}

func TestAChangedFileIsNamed(t *testing.T) {
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
	if _, _, err := files.open(filepath.Join(dir, "one", "key")); err != nil {
		t.Fatal(err)
	}
	before := files.Digests()
	changed := func() []string { return before.Changed(files.DigestsNow()) }
	key := []string{filepath.Join(dir, "key")}
	if got := changed(); got != nil {
		t.Errorf("nothing has changed: got %q", got)
	}
	link("two", "..data")
	if got := changed(); !slices.Equal(got, key) {
		t.Errorf("another key: got %q", got)
	}
	link("one", "..data")
	if got := changed(); got != nil {
		t.Errorf("the first key again: got %q", got)
	}
	if err := os.Remove(filepath.Join(dir, "key")); err != nil {
		t.Fatal(err)
	}
	if got := changed(); !slices.Equal(got, key) {
		t.Errorf("a key that is gone: got %q", got)
	}
}

// Whoever starts a server before there is a key in the pipe is not kept waiting
// for ever, nor is one turned away who is a moment early.
func TestAPipeIsWaitedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		content, _, err := new(Files).open(name)
		if took := time.Since(began); err != nil || len(content) > 0 || took < pipeTimeout || took > 2*pipeTimeout {
			t.Errorf("got %q, %v after %s", content, err, took)
		}
	})

	wrote := make(chan error, 1)
	go func() { wrote <- os.WriteFile(name, []byte(secretKey), 0) }() // which waits for a reader
	content, _, err := new(Files).open(name)
	if err != nil || string(content) != secretKey {
		t.Errorf("got %q, %v", content, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	_, _, err = readWithin(fmt.Sprintf("/dev/fd/%d", r.Fd()), 10*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "nothing comes out of it") {
		t.Errorf("a pipe out of which nothing comes: %v", err)
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
	if !maps.Equal(files.DigestsNow(), files.Digests()) {
		t.Error("that it cannot be read again is a change")
	}
}

func TestNearestKeys(t *testing.T) {
	keys := []string{"listen", "hosts", "app", "app_timeout", "frontend_api_url", "proxy_url"}
	for key, want := range map[string]string{
		"lisen": "listen", "Listen": "listen", "host": "hosts", "hots": "hosts", "ap": "", "app_timout": "app_timeout",
		"fapi_url": "frontend_api_url", "clerk_proxy_url": "proxy_url", "colour": "", "x": "",
	} {
		if got := Nearest(key, keys); got != want {
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
	cert, key := certificateAndKey(t)
	dir := write(t, map[string]string{"app": secretKey, "other": secretKey, "egress-ca.pem": cert, "ca.pem": cert, "shop.pem": cert, "shop.key": key, "eab": "c3dvcmRmaXNo"})
	for _, elsewhere := range []string{"/run/secrets", "/etc/ssl", "/var/lib"} {
		example = strings.ReplaceAll(example, elsewhere, dir)
	}
	source := Source{File: filepath.Join(write(t, map[string]string{"example.yaml": example}), "example.yaml"), Getenv: func(name string) string {
		return map[string]string{"APP_SECRET_KEY": secretKey}[name]
	}}
	loaded, _, err := source.Load()
	if err != nil {
		t.Fatal(err)
	}
	// The certificate that stands in for the guide's has other names.
	if len(loaded.Config.Sites) != 3 || len(loaded.Warnings) != 2 || !strings.Contains(loaded.Warnings[0], "sites[1].hosts: there is no certificate for *.shop.example") ||
		!strings.Contains(loaded.Warnings[1], "sites[2].hosts: is not set") {
		t.Errorf("got %d sites, %q", len(loaded.Config.Sites), loaded.Warnings)
	}
	// It shows every key that there is.
	for _, each := range []any{Config{}, TLS{}, Certificate{}, ACME{}, Log{}, Site{}} {
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

// certificateAndKey are those of a server, in PEM. The names are example.com and
// 127.0.0.1.
func certificateAndKey(t *testing.T) (cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return authority(t), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestHostsForACME(t *testing.T) {
	withoutClerk(t)
	const site = "\n  - {publishable_key: pk_live_Y2xlcmsuYXBwLmRldiQ, secret_key_env: KEY, "
	tests := []struct {
		name, acme, sites string
		want              []string
		warnings          int
	}{
		{"those of the sites", "", site + "hosts: [App.dev, www.app.dev]}" + site + "hosts: shop.dev}", []string{"app.dev", "www.app.dev", "shop.dev"}, 0},
		{"without ports, once", "", site + "hosts: [app.dev, \"app.dev:8443\"]}", []string{"app.dev"}, 0},
		{"that of a proxy URL", "", site + "proxy_url: \"https://app.dev/__clerk\"}", []string{"app.dev"}, 0},
		{"no wildcard and no address", "", site + "hosts: [app.dev, \"*.app.dev\", 192.0.2.1, \"[2001:db8::1]:8443\"]}", []string{"app.dev"}, 1},
		{"those that are named", ", hosts: www.app.dev", site + "hosts: [app.dev, www.app.dev]}", []string{"www.app.dev"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, map[string]string{"clerk-proxy.yaml": "tls: {acme: {enabled: true, storage: storage" + tt.acme + "}}\nsites:" + tt.sites})
			source := Source{File: filepath.Join(dir, "clerk-proxy.yaml"), Getenv: environment}
			loaded, _, err := source.Load()
			if err != nil {
				t.Fatal(err)
			}
			if got := loaded.Server.TLS.ACME.Hosts; !slices.Equal(got, tt.want) || len(loaded.Warnings) != tt.warnings {
				t.Errorf("got %q, %q", got, loaded.Warnings)
			}
			if !loaded.Server.TLS.ACME.NoHTTP01 || loaded.Server.TLS.ACME.NoTLSALPN01 {
				t.Error("without a listener for it, HTTP-01 is tried")
			}
		})
	}
}

// A certificate that is no good is not in use by anybody who would look whether
// it is now.
func TestACertificateThatWasRejectedIsWatched(t *testing.T) {
	withoutClerk(t)
	cert, key := certificateAndKey(t)
	dir := write(t, map[string]string{
		"clerk-proxy.yaml": "tls: {certificates: [{cert: cert.pem, key: key.pem}]}\nsites: [{hosts: example.com, publishable_key: pk_live_Y2xlcmsuYXBwLmRldiQ, secret_key_env: KEY}]",
		"cert.pem":         cert,
	})
	source := Source{File: filepath.Join(dir, "clerk-proxy.yaml"), Getenv: environment}
	_, files, err := source.Load()
	if err == nil || !strings.Contains(err.Error(), "tls.certificates[0].key") {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	if maps.Equal(files.Digests(), files.DigestsNow()) {
		t.Error("it is not noticed that the key is there now")
	}
	if _, files, err = source.Load(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(files.Digests(), files.DigestsNow()) {
		t.Error("one that is in use is watched twice")
	}
}
