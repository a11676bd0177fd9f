package assets

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A redirection is what an origin answers about a file, and about its major
// version, which leads there.
type redirection struct {
	file, major http.Header // in place of, or besides, what is usual
	location    string
	code, found int // of the redirect, of the file
}

func (o redirection) handler() *origin {
	return handled(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if r.URL.Path == major {
			h.Set("Cache-Control", "public, max-age=60")
			h.Set("Location", o.location)
			for name, values := range o.major {
				h[name] = values
			}
			w.WriteHeader(o.code)
			return
		}
		for name, values := range immutable("Content-Type", "text/javascript", "Expires", "Fri, 01 Jan 2100 00:00:00 GMT") {
			h[name] = values
		}
		for name, values := range o.file {
			h[name] = values
		}
		w.WriteHeader(o.found)
		io.WriteString(w, "body of "+r.URL.Path)
	})
}

func TestARedirectIsFollowedToWhatIsKept(t *testing.T) {
	const body = "body of " + file
	tests := []struct {
		name   string
		origin redirection
		method string
		header []string
		after  time.Duration
		code   int
		body   string
		status string
	}{
		{name: "to a path", code: 200, body: body, status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "to a URL", origin: redirection{location: "https://frontend-api.test" + file}, code: 200, body: body, status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "to a host", origin: redirection{location: "//frontend-api.test" + file}, code: 307, status: "clerkproxy; hit"},
		{name: "by other codes", origin: redirection{code: 302}, code: 200, body: body, status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "a while later", after: 59 * time.Second, code: 200, body: body, status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "while it is asked for anew", after: 90 * time.Second, code: 200, body: body, status: "clerkproxy; hit; ttl=-30; detail=stale-while-revalidate"},
		{name: "for its head", method: "HEAD", code: 200, status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "unless the client has it", header: []string{"If-None-Match", `"v1"`}, code: 304, status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "for a part", header: []string{"Range", "bytes=0-3"}, code: 206, body: "body", status: "clerkproxy; hit; detail=redirect-followed"},
		{name: "but not elsewhere", origin: redirection{location: "https://cdn.test" + file}, code: 307, status: "clerkproxy; hit"},
		{name: "but not over http", origin: redirection{location: "http://frontend-api.test" + file}, code: 307, status: "clerkproxy; hit"},
		{name: "but not out of what may be kept", origin: redirection{location: "/v1/client"}, code: 307, status: "clerkproxy; hit"},
		{name: "but not by dots", origin: redirection{location: "/npm/x/.." + file[4:]}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to what is not kept", origin: redirection{location: file + ".map"}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to a query", origin: redirection{location: file + "?a"}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to a fragment", origin: redirection{location: file + "#a"}, code: 307, status: "clerkproxy; hit"},
		{name: "but not around", origin: redirection{location: major}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to a file that there is none of", origin: redirection{found: 404}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to a file that is fresh for less time", origin: redirection{file: http.Header{"Cache-Control": {"max-age=30"}}}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to a file that depends on what another client sent", origin: redirection{file: http.Header{"Vary": {"Origin"}}}, header: []string{"Origin", "https://other.dev"}, code: 307, status: "clerkproxy; hit"},
		{name: "but not to a file in another coding", header: []string{"Accept-Encoding", "br"}, code: 307, status: "clerkproxy; fwd=vary-miss; stored"},
		{name: "but not for who wants the origin's answer", header: []string{"Cache-Control", "no-cache"}, code: 307, status: "clerkproxy; fwd=request; stored"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := tt.origin
				o.location, o.code, o.found = cmp.Or(o.location, file), cmp.Or(o.code, 307), cmp.Or(o.found, 200)
				c := newCache(o.handler())
				get(t, c, file)
				get(t, c, major)
				synctest.Wait()
				time.Sleep(tt.after)
				got := do(c, request(t.Context(), cmp.Or(tt.method, "GET"), major, tt.header...))
				synctest.Wait()
				if got.StatusCode != tt.code || got.body != tt.body || got.err != nil {
					t.Errorf("got %d %q, %v; want %d %q", got.StatusCode, got.body, got.err, tt.code, tt.body)
				}
				wantStatus(t, got, tt.status)
				if tt.code == 307 {
					return
				}
				want := http.Header{
					"Cache-Control": {"public, max-age=60"}, "Expires": nil, "Age": {fmt.Sprint(int(tt.after.Seconds()))},
					"Etag": {`"v1"`}, "Vary": {"Accept-Encoding"}, "Location": nil,
				}
				for name, values := range want {
					if !slices.Equal(got.Header[name], values) {
						t.Errorf("%s: got %q, want %q", name, got.Header[name], values)
					}
				}
			})
		})
	}
}

// What is not conditional is found the short way too, and is the same.
func TestFindFollowsARedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := redirection{location: file, code: 307, found: 200, major: http.Header{"Vary": {"Origin"}, "Expires": {"Sat, 01 Jan 2101 00:00:00 GMT"}}}
		c := newCache(o.handler())
		get(t, c, file)
		get(t, c, major)
		synctest.Wait()
		time.Sleep(5 * time.Second)
		req := request(t.Context(), "GET", major)
		hit, found, kept := c.Find(plain(req), nil)
		if !found || !kept {
			t.Fatal("it is not found")
		}
		want := do(c, req)
		if hit.Status != want.StatusCode || string(hit.Body) != want.body {
			t.Errorf("got %d %q, want %d %q", hit.Status, hit.Body, want.StatusCode, want.body)
		}
		got := hit.Fields.Header()
		for name, values := range want.Header {
			if !slices.Equal(got[name], values) {
				t.Errorf("%s is %q, want %q", name, got[name], values)
			}
		}
		if len(got) != len(want.Header) || !slices.Equal(got["Vary"], []string{"Accept-Encoding", "Origin"}) {
			t.Errorf("got %q, want %q", got, want.Header)
		}
	})
}

// An answer in place of a redirect does not change what is kept.
func TestWhatARedirectLedToIsStillItself(t *testing.T) {
	c := newCache(redirection{location: file, code: 307, found: 200}.handler())
	get(t, c, file)
	get(t, c, major)
	for range 2 {
		for target, control := range map[string]string{file: immutable().Get("Cache-Control"), major: "public, max-age=60"} {
			if got := get(t, c, target); got.StatusCode != 200 || got.Header.Get("Cache-Control") != control {
				t.Errorf("%s: got %d %q", target, got.StatusCode, got.Header)
			}
		}
	}
}
