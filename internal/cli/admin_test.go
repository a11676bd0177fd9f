package cli

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/freeport"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// The process that takes over needs the address of the pages before this one has
// ended.
func TestThePagesMakeWayForASuccessor(t *testing.T) {
	address := freeport.Address(t)
	log := slog.New(slog.DiscardHandler)
	srv, err := server.New(server.Config{Logger: log, Sites: []server.Site{liveSite(server.Site{})}})
	if err != nil {
		t.Fatal(err)
	}
	var seen overview
	serving, end := context.WithCancelCause(t.Context())
	defer seen.show(serving, srv, config.Admin{Listen: address}, log)()
	until(t, func() bool { conn, err := net.Dial("tcp", address); return err == nil && conn.Close() == nil })

	end(server.ErrReplaced)
	until(t, func() bool { l, err := net.Listen("tcp", address); return err == nil && l.Close() == nil })
}

// until waits for what another process, or the system, does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func liveSite(site server.Site) server.Site {
	site.Proxy.PublishableKey, site.Proxy.SecretKey = livePublishableKey, liveSecretKey
	return site
}

func TestHowASiteIsChecked(t *testing.T) {
	t.Setenv("CLERK_API_URL", "https://bapi.test")
	app, _ := url.Parse("http://localhost:3000")
	development := server.Site{AppURL: app, Hosts: []string{"app.dev"}}
	development.Proxy.PublishableKey, development.Proxy.SecretKey = testPublishableKey, testSecretKey
	for _, tt := range []struct {
		name    string
		site    server.Site
		url     string // empty: it is not
		backend string
	}{
		{"by its whole URL", liveSite(server.Site{Proxy: clerkproxy.Config{ProxyURL: "https://app.dev/auth"}}), "https://app.dev/auth", "https://bapi.test"},
		{"by a host and a path", liveSite(server.Site{Hosts: []string{"*.app.dev", "www.app.dev"}, Proxy: clerkproxy.Config{ProxyURL: "/auth"}}), "https://www.app.dev/auth", "https://bapi.test"},
		{"with the Backend API that it has", liveSite(server.Site{Hosts: []string{"app.dev"}, Proxy: clerkproxy.Config{ProxyURL: "/__clerk"}, Authentication: &server.Authentication{BackendAPIURL: "https://own.test"}}), "https://app.dev/__clerk", "https://own.test"},
		{"not if nobody knows its host", liveSite(server.Site{Hosts: []string{"*.app.dev"}, Proxy: clerkproxy.Config{ProxyURL: "/__clerk"}}), "", ""},
		{"not without a proxy", development, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, err := server.New(server.Config{Logger: slog.New(slog.DiscardHandler), Sites: []server.Site{tt.site}})
			if err != nil {
				t.Fatal(err)
			}
			c, ok := checkOf(srv.Served()[0])
			if ok != (tt.url != "") || c.ProxyURL != tt.url || c.BackendAPIURL != tt.backend {
				t.Errorf("got %v, %s, %s", ok, c.ProxyURL, c.BackendAPIURL)
			}
			if ok && (c.PublishableKey != livePublishableKey || c.SecretKey != liveSecretKey) {
				t.Error("the keys are others")
			}
		})
	}
}
