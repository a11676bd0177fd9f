package clerkproxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

func TestARotatedSecretKeyLeavesConnectionsAndCacheAsTheyAre(t *testing.T) {
	var scripts atomic.Int64
	peers := map[string]bool{} // one request at a time
	p := newProxy(t, Config{AssetCache: 1 << 20}, func(w http.ResponseWriter, r *http.Request) {
		peers[r.RemoteAddr] = true
		if strings.HasPrefix(r.URL.Path, "/npm/") {
			scripts.Add(1)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		fmt.Fprint(w, r.Header["Clerk-Secret-Key"])
	})
	addr := serve(t, p)
	get := func(path string) string {
		return body(t, send(t, addr, "GET /__clerk"+path+" HTTP/1.1\r\nHost: app.dev\r\n\r\n"))
	}
	get("/npm/clerk.js")
	if got := get("/v1/client"); got != "["+secretKey+"]" {
		t.Fatalf("got %s", got)
	}
	before := len(peers)

	if err := p.SetSecretKey("sk_live_rotated"); err != nil {
		t.Fatal(err)
	}
	if _, secret := p.Keys(); secret != "sk_live_rotated" {
		t.Errorf("Keys: got %s", secret)
	}
	if got := get("/v1/client"); got != "[sk_live_rotated]" {
		t.Errorf("got %s", got)
	}
	get("/npm/clerk.js")
	if scripts.Load() != 1 || len(peers) > before+1 { // the lane may have grown by one
		t.Errorf("the script was fetched %d times; %d connections, then %d", scripts.Load(), before, len(peers))
	}
}

func TestSetSecretKeyRefusesWhatNewDoes(t *testing.T) {
	p := newProxyTo(t, Config{}, "http://localhost:1")
	for _, bad := range []string{"", "nonsense", "sk_test_x", publishableKey} {
		err := p.SetSecretKey(bad)
		if problem, ok := errors.AsType[*ConfigError](err); !ok || problem.Field != "SecretKey" || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	if _, secret := p.Keys(); secret != secretKey {
		t.Errorf("the key is %q after keys that were refused", secret)
	}
}

func TestCloseIdleConnections(t *testing.T) {
	closed := make(chan struct{}, 8)
	fapi := httptest.NewUnstartedServer(http.NotFoundHandler())
	fapi.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	fapi.Start()
	t.Cleanup(fapi.Close)
	p := newProxyTo(t, Config{AssetCache: 1 << 20, IdleConnTimeout: -1}, fapi.URL)
	addr := serve(t, p)
	body(t, send(t, addr, "GET /__clerk/v1/client HTTP/1.1\r\nHost: app.dev\r\n\r\n"))
	for len(closed) == 0 { // the client has the answer before the connection is idle
		p.CloseIdleConnections()
		runtime.Gosched()
	}
}
