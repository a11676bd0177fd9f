package config

import (
	"fmt"
	"net/netip"
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
			prefixes, everyone, err := parseTrustedProxies(tt.entries)
			if (err != nil) != tt.fails || (everyone != "") != tt.warned {
				t.Fatalf("got %v, %v, everyone by %q", prefixes, err, everyone)
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

func TestParseSecretKey(t *testing.T) {
	tests := []struct {
		name, content string
		key           string
		problem       string
	}{
		{name: "as an editor writes it", content: "sk_live_x\n", key: "sk_live_x"},
		{name: "as Windows writes it", content: "sk_live_x\r\n", key: "sk_live_x"},
		{name: "with a byte order mark and blanks", content: "\ufeff sk_live_x \n", key: "sk_live_x"},
		{name: "two of them", content: "sk_live_x\nsk_live_y\n", problem: "has several lines"},
		{name: "in quotes", content: `"sk_live_x"`, problem: "has quotes in it"},
		{name: "as a variable", content: "CLERK_SECRET_KEY=sk_live_x\n", problem: "not a variable"},
		{name: "without a newline", content: "sk_live_x", key: "sk_live_x"},
		{name: "of the largest size", content: strings.Repeat("x", maxSecretKeyFile), key: strings.Repeat("x", maxSecretKeyFile)},
		{name: "too large", content: strings.Repeat("x", maxSecretKeyFile+1), problem: "is larger than 4096 bytes"},
		{name: "newlines alone", content: "\n\n", problem: "is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := parseSecretKey([]byte(tt.content))
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || key != tt.key {
				t.Errorf("got %d bytes, %v", len(key), err)
			}
		})
	}
}

func TestIsOrigin(t *testing.T) {
	for s, want := range map[string]bool{
		"https://app.dev": true, "http://localhost:3000": true,
		"": false, "app.dev": false, "https://app.dev/": false, "https://user@app.dev": false, "https://": false, "ftp://app.dev": false, "*": false,
	} {
		if got := isOrigin(s); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}
