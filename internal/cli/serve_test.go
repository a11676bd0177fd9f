package cli

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseTrustedProxies(t *testing.T) {
	tests := []struct {
		name    string
		entries []string
		want    string // as fmt prints it
		warned  bool
		fails   bool
	}{
		{name: "nothing is the default", want: "[] default"},
		{name: "none is nobody", entries: []string{"none"}, want: "[]"},
		{name: "an address is a range of one", entries: []string{"192.0.2.1", "2001:db8::1"}, want: "[192.0.2.1/32 2001:db8::1/128]"},
		{name: "ranges", entries: []string{"10.0.0.0/8", "fc00::/7"}, want: "[10.0.0.0/8 fc00::/7]"},
		{name: "spaces after commas", entries: []string{"10.0.0.0/8", " 192.0.2.1"}, want: "[10.0.0.0/8 192.0.2.1/32]"},
		{name: "IPv4 in IPv6 is IPv4", entries: []string{"::ffff:192.0.2.1"}, want: "[192.0.2.1/32]"},
		{name: "everyone", entries: []string{"0.0.0.0/0"}, want: "[0.0.0.0/0]", warned: true},
		{name: "everyone over IPv6", entries: []string{"::/0"}, want: "[::/0]", warned: true},
		{name: "none among others", entries: []string{"none", "10.0.0.0/8"}, fails: true},
		{name: "a range of IPv4 in IPv6, which no peer is ever in", entries: []string{"::ffff:10.0.0.0/104"}, fails: true},
		{name: "a name", entries: []string{"proxy.internal"}, fails: true},
		{name: "a port", entries: []string{"192.0.2.1:80"}, fails: true},
		{name: "an empty entry", entries: []string{"10.0.0.0/8", ""}, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			warned := false
			prefixes, err := parseTrustedProxies(tt.entries, func(string) { warned = true })
			if (err != nil) != tt.fails || warned != tt.warned {
				t.Fatalf("got %v, %v, warned %v", prefixes, err, warned)
			}
			if got := describe(prefixes); !tt.fails && got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func describe(prefixes []netip.Prefix) string {
	if prefixes == nil {
		return "[] default"
	}
	return fmt.Sprint(prefixes)
}

func TestParseAppURL(t *testing.T) {
	for _, good := range []string{"http://localhost:3000", "https://app.internal", "http://[::1]:3000/base", "HTTP://app"} {
		if _, err := parseAppURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "localhost:3000", "/app", "//app", "ftp://app", "http://", "http://app?x", "http://app#x", "http://user:swordfish@app", "http://swordfish\x7f@app"} {
		if _, err := parseAppURL(bad); err == nil || strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestReadSecretKeyFile(t *testing.T) {
	tests := []struct {
		name, content string
		mode          os.FileMode
		key           string
		worldReadable bool
		problem       string
	}{
		{name: "as an editor writes it", content: "sk_live_x\n", mode: 0o600, key: "sk_live_x"},
		{name: "as Windows writes it", content: "sk_live_x\r\n", mode: 0o600, key: "sk_live_x"},
		{name: "without a newline", content: "sk_live_x", mode: 0o640, key: "sk_live_x"},
		{name: "readable by everyone", content: "sk_live_x", mode: 0o644, key: "sk_live_x", worldReadable: true},
		{name: "of the largest size", content: strings.Repeat("x", maxSecretKeyFile), mode: 0o600, key: strings.Repeat("x", maxSecretKeyFile)},
		{name: "too large", content: strings.Repeat("x", maxSecretKeyFile+1), mode: 0o600, problem: "is larger than 4096 bytes"},
		{name: "newlines alone", content: "\n\n", mode: 0o600, problem: "is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(name, []byte(tt.content), tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(name, tt.mode); err != nil { // whatever the umask
				t.Fatal(err)
			}
			key, worldReadable, err := readSecretKeyFile(name)
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || key != tt.key || worldReadable != tt.worldReadable {
				t.Errorf("got %d bytes, readable by everyone: %v, %v", len(key), worldReadable, err)
			}
		})
	}
}
