package cli

import "testing"

func TestTheServerIsReachedWhereItListens(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:25375":    "127.0.0.1:25375",
		":25375":             "localhost:25375",
		"0.0.0.0:25375":      "localhost:25375",
		"[::]:25375":         "localhost:25375",
		"192.0.2.1:25375":    "192.0.2.1:25375",
		"[2001:db8::1]:9090": "[2001:db8::1]:9090",
		"admin.local:9090":   "admin.local:9090",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
