package certificate

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/clerkproxy/clerkproxy"
)

func TestNothingToServe(t *testing.T) {
	var problem *clerkproxy.ConfigError
	if _, err := New(Config{}, nil); !errors.As(err, &problem) || problem.Field != "Files" {
		t.Errorf("got %v", err)
	}
}

func TestProblemsOfACME(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("not what is wanted!"))
	tests := []struct {
		name   string
		change func(*ACME)
		field  string
		want   string
	}{
		{"no host", func(a *ACME) { a.Hosts = nil }, "Hosts", "is empty"},
		{"a wildcard", func(a *ACME) { a.Hosts = []string{"*.app.dev"} }, "Hosts", "wildcards take a challenge by DNS"},
		{"a port", func(a *ACME) { a.Hosts = []string{"app.dev:8443"} }, "Hosts", "without a port"},
		{"a URL", func(a *ACME) { a.Hosts = []string{"https://app.dev"} }, "Hosts", "is not the name of a host"},
		{"an international name", func(a *ACME) { a.Hosts = []string{"bücher.example"} }, "Hosts", "xn--"},
		{"a trailing dot", func(a *ACME) { a.Hosts = []string{"app.dev."} }, "Hosts", "is not the name of a host"},
		{"an IPv4 address", func(a *ACME) { a.Hosts = []string{"192.0.2.1"} }, "Hosts", "is an address"},
		{"an IPv6 address", func(a *ACME) { a.Hosts = []string{"[2001:db8::1]"} }, "Hosts", "is not the name of a host"},
		{"a name that is not public", func(a *ACME) { a.Hosts = []string{"app.internal"} }, "Hosts", "is not a public name"},
		{"a name without a domain", func(a *ACME) { a.Hosts = []string{"app"} }, "Hosts", "is not a public name"},
		{"an unknown short name", func(a *ACME) { a.Directory = "stagin" }, "Directory", `"stagin" is not an https URL`},
		{"plain http", func(a *ACME) { a.Directory = "http://ca.internal/directory" }, "Directory", "plain http"},
		{"another scheme", func(a *ACME) { a.Directory = "ftp://ca.internal/directory" }, "Directory", "is not an https URL"},
		{"a password", func(a *ACME) { a.Directory = "https://user:passw0rd@ca.internal/directory" }, "Directory", "has credentials in it"},
		{"an e-mail address that is none", func(a *ACME) { a.Email = "Ops <ops@app.dev>" }, "Email", "is not an e-mail address"},
		{"no challenge", func(a *ACME) { a.NoHTTP01, a.NoTLSALPN01 = true, true }, "NoTLSALPN01", "no challenge is left"},
		{"a negative interval", func(a *ACME) { a.CheckInterval = -time.Second }, "CheckInterval", "is negative"},
		{"no CA file", func(a *ACME) { a.CAFile = file + "s" }, "CAFile", "cannot be read"},
		{"a CA file that is none", func(a *ACME) { a.CAFile = file }, "CAFile", "holds no certificate"},
		{"a key id without a key", func(a *ACME) { a.EABKeyID = "key-1" }, "EABMACKeyFile", "is missing"},
		{"a key without an id", func(a *ACME) { a.EABMACKeyFile = file }, "EABKeyID", "is missing"},
		{"no key file", func(a *ACME) { a.EABKeyID, a.EABMACKeyFile = "key-1", file+"s" }, "EABMACKeyFile", "cannot be read"},
		{"a key that is none", func(a *ACME) { a.EABKeyID, a.EABMACKeyFile = "key-1", file }, "EABMACKeyFile", "base64url"},
		{"a storage that cannot be made", func(a *ACME) { a.Storage = filepath.Join(file, "storage") }, "Storage", "cannot be made: not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			acme := &ACME{Hosts: []string{"app.dev"}, Storage: t.TempDir()}
			tt.change(acme)
			_, err := New(Config{ACME: acme}, slog.New(slog.DiscardHandler))
			var problem *clerkproxy.ConfigError
			if !errors.As(err, &problem) || problem.Field != "ACME."+tt.field || !strings.Contains(problem.Problem, tt.want) {
				t.Fatalf("got %v", err)
			}
			if problems := err.(interface{ Unwrap() []error }).Unwrap(); len(problems) != 1 {
				t.Errorf("got %v", problems)
			}
			for _, secret := range []string{"passw0rd", "not what is wanted!"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds %q: %v", secret, err)
				}
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	_, err := New(Config{
		Files: []Pair{{}, newFiles(t)},
		ACME:  &ACME{Hosts: []string{"*.app.dev", "app.dev:80"}, Email: "nobody", Directory: "somewhere", Storage: t.TempDir()},
	}, nil)
	if err == nil {
		t.Fatal("it is taken")
	}
	if problems := err.(interface{ Unwrap() []error }).Unwrap(); len(problems) != 8 {
		t.Errorf("got %d problems:\n%v", len(problems), err)
	}
}

func TestDirectories(t *testing.T) {
	for given, want := range map[string][2]string{
		"":                                   {certmagic.LetsEncryptProductionCA, certmagic.LetsEncryptStagingCA},
		"staging":                            {certmagic.LetsEncryptStagingCA, ""},
		"https://ca.internal/acme/directory": {"https://ca.internal/acme/directory", ""},
		"http://localhost:14000/dir":         {"http://localhost:14000/dir", ""},
	} {
		m, err := New(Config{ACME: &ACME{Hosts: []string{"app.dev"}, Directory: given, Storage: t.TempDir()}}, nil)
		if err != nil {
			t.Errorf("%q: %v", given, err)
			continue
		}
		if s := m.state.Load().acme; s.directory != want[0] || s.testDirectory != want[1] {
			t.Errorf("%q: got %q and %q", given, s.directory, s.testDirectory)
		}
	}
}

func TestHostsAreInLowerCaseAndOnce(t *testing.T) {
	m, err := New(Config{ACME: &ACME{Hosts: []string{"App.dev", "app.dev", "xn--bcher-kva.example"}, Storage: t.TempDir()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.state.Load().hosts, " "); got != "app.dev xn--bcher-kva.example" {
		t.Errorf("got %s", got)
	}
}

func TestTheStorageIsMadeForThisUserAlone(t *testing.T) {
	storage := filepath.Join(t.TempDir(), "deep", "storage")
	var log book
	if _, err := New(Config{ACME: &ACME{Hosts: []string{"app.dev"}, Storage: storage}}, log.logger()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(storage)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
	if entries, err := os.ReadDir(storage); err != nil || len(entries) > 0 {
		t.Errorf("it holds %v, %v", entries, err)
	}
	if err := os.Chmod(storage, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{ACME: &ACME{Hosts: []string{"app.dev"}, Storage: storage}}, log.logger()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "can be written to by every user") {
		t.Errorf("logged: %s", &log)
	}
}

func TestAMACKeyWithPaddingAndSpaceAround(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mac")
	write(t, file, []byte(" a2V5IG9mIDEzIGI=\r\n"))
	m, err := New(Config{ACME: &ACME{Hosts: []string{"app.dev"}, EABKeyID: "key-1", EABMACKeyFile: file, Storage: t.TempDir()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.state.Load().acme.binding; got.KeyID != "key-1" || got.MACKey != "a2V5IG9mIDEzIGI" {
		t.Errorf("got %+v", got)
	}
}
