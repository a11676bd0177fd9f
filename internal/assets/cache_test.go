package assets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	file  = "/npm/@clerk/clerk-js@6.40.0/dist/clerk.browser.js"
	major = "/npm/@clerk/clerk-js@6/dist/clerk.browser.js"
)

// An origin is the Frontend API behind the cache.
type origin struct {
	answer func(*http.Request) (*http.Response, error)

	mu   sync.Mutex
	seen []*http.Request
}

func (o *origin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.seen = append(o.seen, r)
	o.mu.Unlock()
	return o.answer(r)
}

func (o *origin) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.seen)
}

func (o *origin) last() *http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[len(o.seen)-1]
}

// handled is an origin that a handler answers for.
func handled(h http.HandlerFunc) *origin {
	return &origin{answer: func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h(w, r)
		resp := w.Result()
		if resp.ContentLength < 0 && r.Method != http.MethodHead {
			resp.ContentLength = int64(w.Body.Len())
			resp.Header.Set("Content-Length", strconv.Itoa(w.Body.Len()))
		}
		return resp, nil
	}}
}

// fixed answers with the same headers and body always.
func fixed(code int, header http.Header, body string) *origin {
	return handled(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(code)
		io.WriteString(w, body)
	})
}

func immutable(extra ...string) http.Header {
	h := http.Header{"Cache-Control": {"public, max-age=31536000, immutable"}, "Etag": {`"v1"`}, "Vary": {"Accept-Encoding"}}
	for i := 0; i < len(extra); i += 2 {
		h.Add(extra[i], extra[i+1])
	}
	return h
}

func newCache(o http.RoundTripper) *Cache { return New(o, Config{MaxBytes: 8 << 20}) }

func request(ctx context.Context, method, target string, header ...string) *http.Request {
	u, err := url.Parse("https://frontend-api.test" + target)
	if err != nil {
		panic(err)
	}
	h := http.Header{
		"Clerk-Proxy-Url":   {"https://app.dev/__clerk"},
		"Clerk-Secret-Key":  {"sk_live_x"},
		"X-Forwarded-For":   {"192.0.2.1"},
		"X-Forwarded-Host":  {"app.dev"},
		"X-Forwarded-Proto": {"https"},
		"Accept-Encoding":   {"gzip, deflate, br"},
		"Cookie":            {"__session=secret"},
	}
	for i := 0; i < len(header); i += 2 {
		h.Del(header[i])
		if header[i+1] != "" {
			h.Set(header[i], header[i+1])
		}
	}
	return (&http.Request{Method: method, URL: u, Host: u.Host, Header: h}).WithContext(ctx)
}

type result struct {
	*http.Response
	body string
	err  error
}

func (r result) status() string { return strings.Join(r.Header[cacheStatus], ", ") }

func do(c *Cache, r *http.Request) result {
	resp, err := c.RoundTrip(r)
	if err != nil {
		return result{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return result{resp, string(b), err}
}

func get(t *testing.T, c *Cache, target string, header ...string) result {
	t.Helper()
	res := do(c, request(t.Context(), "GET", target, header...))
	if res.err != nil {
		t.Fatalf("GET %s: %v", target, res.err)
	}
	return res
}

func wantStatus(t *testing.T, res result, want string) {
	t.Helper()
	if got := res.status(); got != want {
		t.Errorf("Cache-Status: got %q, want %q", got, want)
	}
}

func TestWhatIsKept(t *testing.T) {
	for name, test := range map[string]struct {
		code   int
		header http.Header
		target string
		kept   bool
	}{
		"an immutable file is":                             {header: immutable(), kept: true},
		"a file with a query of its own is":                {header: immutable(), target: file + "?v=1", kept: true},
		"a file fresh by s-maxage alone is":                {header: http.Header{"Cache-Control": {"max-age=0, s-maxage=60"}}, kept: true},
		"a file fresh by Expires is":                       {header: http.Header{"Expires": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}, kept: true},
		"a redirect with a lifetime is":                    {code: 307, header: http.Header{"Cache-Control": {"max-age=60"}, "Location": {file}}, kept: true},
		"a not found with a lifetime is":                   {code: 404, header: http.Header{"Cache-Control": {"max-age=60"}}, kept: true},
		"a file that varies by nothing the client sent is": {header: immutable("Vary", "Access-Control-Request-Headers"), kept: true},

		"a file without a lifetime is not":               {header: http.Header{"Etag": {`"v1"`}}},
		"a redirect without a lifetime is not":           {code: 307, header: http.Header{"Location": {file}}},
		"a not found without a lifetime is not":          {code: 404},
		"a file that a shared cache must not use is not": {header: http.Header{"Cache-Control": {"max-age=60, s-maxage=0"}}},
		"a file that is stale on arrival is not":         {header: http.Header{"Cache-Control": {"max-age=60"}, "Age": {"60"}}},
		"a file with Expires 0 is not":                   {header: http.Header{"Expires": {"0"}}},
		"a file with a bad max-age is not":               {header: http.Header{"Cache-Control": {"max-age=1e9"}}},
		"a private file is not":                          {header: http.Header{"Cache-Control": {"max-age=60, PRIVATE"}}},
		"a file private in a field is not":               {header: http.Header{"Cache-Control": {`private="x-y", max-age=60`}}},
		"a no-store file is not":                         {header: http.Header{"Cache-Control": {"max-age=60", "no-store"}}},
		"a no-store behind an open quote counts":         {header: http.Header{"Cache-Control": {`max-age=60, a="b, no-store`}}},
		"a no-cache file is not":                         {header: http.Header{"Cache-Control": {"max-age=60, no-cache"}}},
		"a file with Set-Cookie is not":                  {header: immutable("Set-Cookie", "a=b")},
		"a file that varies by everything is not":        {header: immutable("Vary", "*")},
		"a file that varies by a dropped header is not":  {header: immutable("Vary", "Cookie")},
		"an unasked part is not":                         {code: 206, header: immutable("Content-Range", "bytes 0-1/9")},
		"a server error with a lifetime is not":          {code: 503, header: http.Header{"Cache-Control": {"max-age=60"}}},
		"a refusal of one client is not":                 {code: 403, header: http.Header{"Cache-Control": {"max-age=60"}}},
		"a rate limit of one client is not":              {code: 429, header: http.Header{"Cache-Control": {"max-age=60"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.code == 0 {
				test.code = 200
			}
			if test.target == "" {
				test.target = file
			}
			o := fixed(test.code, test.header, "body")
			c := newCache(o)
			before := get(t, c, test.target)
			calls := o.calls()
			after := get(t, c, test.target)
			if kept := o.calls() == calls; kept != test.kept {
				t.Fatalf("kept: %v, want %v", kept, test.kept)
			}
			for _, res := range []result{before, after} {
				if res.StatusCode != test.code || res.body != "body" {
					t.Errorf("got %d %q", res.StatusCode, res.body)
				}
				if res.Header.Get("Set-Cookie") != test.header.Get("Set-Cookie") || res.Header.Get("Location") != test.header.Get("Location") {
					t.Errorf("headers got lost: %v", res.Header)
				}
			}
			if !test.kept {
				wantStatus(t, after, "clerkproxy; fwd=uri-miss")
				if o.last().Header.Get("Cookie") == "" {
					t.Error("the request did not go on whole")
				}
				return
			}
			wantStatus(t, before, "clerkproxy; fwd=uri-miss; stored")
			wantStatus(t, after, "clerkproxy; hit")
			if after.Header.Get("Age") == "" || after.Header.Get("Content-Length") != "4" || after.ContentLength != 4 {
				t.Errorf("got %v, length %d", after.Header, after.ContentLength)
			}
		})
	}
}

func TestNothingElseIsKept(t *testing.T) {
	outside := []string{
		"/v1/client", "/npm", "/npm/", "/npmx/a", "/NPM/a", "//npm/a", "/x/npm/a",
		"/npm/../v1/client", "/npm/a/../b", "/npm/./a", "/npm/a/..", "/npm/%2e%2e/v1/client", "/npm/a%2Fb", "/npm/a%5cb",
		"/npm//a", "/npm/a/", "/npm/%40clerk/a", "/npm/a%00b",
	}
	for _, target := range outside {
		o := fixed(200, immutable(), "body")
		c := newCache(o)
		get(t, c, target)
		if res := get(t, c, target); o.calls() != 2 || res.Header[cacheStatus] != nil {
			t.Errorf("%s: %d calls, %v", target, o.calls(), res.Header)
		}
	}
	t.Run("nor a path that package url cannot parse", func(t *testing.T) {
		o := fixed(200, immutable(), "body")
		c := newCache(o)
		for range 2 {
			r := request(t.Context(), "GET", file)
			r.URL.Path, r.URL.Opaque = "", file
			do(c, r)
		}
		if o.calls() != 2 {
			t.Error("kept")
		}
	})
	for name, header := range map[string][]string{
		"a precondition for the origin":  {"If-Match", `"v1"`},
		"no answer without a coding":     {"Accept-Encoding", "br, identity;q=0"},
		"nothing stored":                 {"Cache-Control", "no-store"},
		"credentials":                    {"Authorization", "Bearer x"},
		"a part of what is not there":    {"Range", "bytes=0-1"},
		"a very long name for one thing": {"X-Forwarded-Host", strings.Repeat("a", maxKey)},
	} {
		t.Run("a request for "+name+" goes on alone", func(t *testing.T) {
			o := fixed(200, immutable(), "body")
			c := newCache(o)
			for range 2 {
				get(t, c, file, header...)
				if o.last().Header.Get(header[0]) != header[1] {
					t.Error("not whole")
				}
			}
			if o.calls() != 2 {
				t.Errorf("%d calls", o.calls())
			}
		})
	}
}

func TestTheBasePathOfTheFrontendAPIPrecedesWhatIsKept(t *testing.T) {
	o := fixed(200, immutable(), "body")
	c := New(o, Config{MaxBytes: 1 << 20, BasePath: "/fapi/"})
	for range 2 {
		get(t, c, "/fapi"+file)
		get(t, c, file)
	}
	if o.calls() != 3 {
		t.Errorf("%d calls, want one below the base path and two outside", o.calls())
	}
}

func TestAFetchCarriesNothingOfAPerson(t *testing.T) {
	o := fixed(200, immutable(), "body")
	get(t, newCache(o), file, "X-Original-Url", "/evil", "Forwarded", "for=1.2.3.4", "If-None-Match", `"x"`, "User-Agent", "UA",
		"Cache-Control", "max-age=0", "Accept-Encoding", "br;q=0.1, foo, GZIP")
	want := http.Header{
		"Clerk-Proxy-Url": {"https://app.dev/__clerk"}, "Clerk-Secret-Key": {"sk_live_x"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Host": {"app.dev"}, "X-Forwarded-Proto": {"https"},
		"Accept-Encoding": {"br, gzip"}, "User-Agent": {"UA"},
	}
	if got := o.last().Header; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %v", got)
	}
}

func TestOneClientsHeadersDoNotReachAnother(t *testing.T) {
	// The hostile origin puts every header that it sees into its answer.
	o := handled(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), immutable())
		w.Header().Set("Access-Control-Allow-Origin", cmp.Or(r.Header.Get("Origin"), "*"))
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			if name != "X-Forwarded-For" { // which must be sent, and is told to be whoever came first
				fmt.Fprintln(w, name, r.Header[name])
			}
		}
	})
	for name, odd := range map[string][]string{
		"a host it made up":      {"X-Forwarded-Host", "evil.test"},
		"a proxy URL of it":      {"Clerk-Proxy-Url", "https://evil.test/__clerk"},
		"another scheme":         {"X-Forwarded-Proto", "http"},
		"another method":         {"X-Http-Method-Override", "DELETE"},
		"another URL":            {"X-Original-Url", "/v1/client"},
		"a session":              {"Cookie", "__session=evil"},
		"an origin":              {"Origin", "https://evil.test"},
		"a condition":            {"If-None-Match", "evil"},
		"a coding of its own":    {"Accept-Encoding", "evil"},
		"a connection to nobody": {"Forwarded", "host=evil.test"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(o)
			get(t, c, file, odd...)
			res := get(t, c, file)
			if strings.Contains(strings.ToLower(fmt.Sprint(res.Header, res.body)), "evil") || strings.Contains(res.body, "Proto [http]") {
				t.Errorf("got %v\n%s", res.Header, res.body)
			}
		})
	}
}

func TestVariants(t *testing.T) {
	echo := func(vary string) *origin {
		return handled(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), http.Header{"Cache-Control": {"max-age=60"}, "Vary": {vary}})
			fmt.Fprint(w, r.Header["Accept-Encoding"], r.Header["Origin"], r.Header["Accept-Language"])
		})
	}
	t.Run("a thousand spellings of Accept-Encoding share a file", func(t *testing.T) {
		o := echo("Accept-Encoding")
		c := newCache(o)
		for i := range 1000 {
			get(t, c, file, "Accept-Encoding", fmt.Sprintf("x%d, br;q=0.%d , GZip", i, i%9+1))
		}
		if o.calls() != 1 {
			t.Errorf("%d calls", o.calls())
		}
	})
	t.Run("each set of codings has its own", func(t *testing.T) {
		o := echo("Accept-Encoding")
		c := newCache(o)
		for _, accept := range []string{"", "br", "gzip", "br, gzip", "zstd, br, gzip", "gzip;q=0, *", "br;q=0.000"} {
			for range 2 {
				get(t, c, file, "Accept-Encoding", accept)
			}
		}
		if o.calls() != 6 { // none, and one at weight 0, are the same
			t.Errorf("%d calls", o.calls())
		}
		res := get(t, c, file, "Accept-Encoding", "zstd")
		wantStatus(t, res, "clerkproxy; fwd=vary-miss; stored")
	})
	t.Run("an answer that names an origin is for that origin even if Vary forgets it", func(t *testing.T) {
		o := fixed(200, immutable("Access-Control-Allow-Origin", "https://a.test"), "body")
		c := newCache(o)
		get(t, c, file, "Origin", "https://a.test")
		get(t, c, file, "Origin", "https://b.test")
		if o.calls() != 2 {
			t.Errorf("%d calls", o.calls())
		}
	})
	t.Run("other headers are compared as they are", func(t *testing.T) {
		o := echo("origin, Accept-Language")
		c := newCache(o)
		for range 2 {
			for _, h := range [][]string{{}, {"Origin", "https://a.test"}, {"Origin", "https://b.test"}, {"Accept-Language", "de"}} {
				res := get(t, c, file, h...)
				if len(h) > 0 && !strings.Contains(res.body, h[1]) {
					t.Errorf("%v got %s", h, res.body)
				}
			}
		}
		if o.calls() != 4 {
			t.Errorf("%d calls", o.calls())
		}
	})
	t.Run("there are not more than so many", func(t *testing.T) {
		c := newCache(echo("Origin"))
		for i := range 100 {
			get(t, c, file, "Origin", fmt.Sprintf("https://%d.test", i))
			wantStatus(t, get(t, c, file, "Origin", "https://0.test"), "clerkproxy; hit")
		}
		for _, variants := range c.store.entries {
			if len(variants) != maxVariants {
				t.Errorf("%d variants", len(variants))
			}
		}
	})
}

func TestWhatTheRequestWants(t *testing.T) {
	for name, test := range map[string]struct {
		control string
		header  []string
		want    string
		calls   int
	}{
		"nothing special":            {control: "max-age=60", want: "hit", calls: 1},
		"no-cache":                   {control: "max-age=60", header: []string{"Cache-Control", "no-cache"}, want: "fwd=request; stored", calls: 2},
		"Pragma":                     {control: "max-age=60", header: []string{"Pragma", "no-cache"}, want: "fwd=request; stored", calls: 2},
		"no-store":                   {control: "max-age=60", header: []string{"Cache-Control", "no-store"}, want: "fwd=request", calls: 2},
		"max-age=0":                  {control: "max-age=60", header: []string{"Cache-Control", "max-age=0"}, want: "fwd=request; stored", calls: 2},
		"max-age=0 of an immutable":  {control: "max-age=60, immutable", header: []string{"Cache-Control", "max-age=0"}, want: "hit", calls: 1},
		"no-cache of an immutable":   {control: "max-age=60, immutable", header: []string{"Cache-Control", "no-cache"}, want: "fwd=request; stored", calls: 2},
		"max-age it satisfies":       {control: "max-age=60", header: []string{"Cache-Control", "max-age=30"}, want: "hit", calls: 1},
		"min-fresh it satisfies not": {control: "max-age=60", header: []string{"Cache-Control", "min-fresh=59"}, want: "fwd=request; stored", calls: 2},
		"only-if-cached":             {control: "max-age=60", header: []string{"Cache-Control", "only-if-cached"}, want: "hit", calls: 1},
		"credentials":                {control: "max-age=60", header: []string{"Authorization", "Bearer x"}, want: "hit", calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := fixed(200, http.Header{"Cache-Control": {test.control}}, "body")
				c := newCache(o)
				get(t, c, file)
				time.Sleep(5 * time.Second)
				wantStatus(t, get(t, c, file, test.header...), "clerkproxy; "+test.want)
				if o.calls() != test.calls {
					t.Errorf("%d calls", o.calls())
				}
			})
		})
	}
	t.Run("only-if-cached of what is not there is answered 504", func(t *testing.T) {
		o := fixed(200, immutable(), "body")
		res := get(t, newCache(o), file, "Cache-Control", "only-if-cached")
		if res.StatusCode != 504 || o.calls() != 0 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d after %d calls", res.StatusCode, o.calls())
		}
	})
}

func TestConditionsAndRanges(t *testing.T) {
	const body = "0123456789"
	for name, test := range map[string]struct {
		header []string
		code   int
		body   string
		rang   string
	}{
		"no condition":                             {code: 200, body: body},
		"its tag":                                  {header: []string{"If-None-Match", `"v1"`}, code: 304},
		"its tag, weakly":                          {header: []string{"If-None-Match", `W/"x,y", W/"v1"`}, code: 304},
		"any tag":                                  {header: []string{"If-None-Match", `*`}, code: 304},
		"another tag":                              {header: []string{"If-None-Match", `"v2", "v`, "If-Modified-Since", "Mon, 01 Jan 2035 00:00:00 GMT"}, code: 200, body: body},
		"modified since then":                      {header: []string{"If-Modified-Since", "Mon, 01 Jan 2019 00:00:00 GMT"}, code: 200, body: body},
		"not modified since then":                  {header: []string{"If-Modified-Since", "Wed, 01 Jan 2020 00:00:00 GMT"}, code: 304},
		"a bad date":                               {header: []string{"If-Modified-Since", "yesterday"}, code: 200, body: body},
		"the first bytes":                          {header: []string{"Range", "bytes=0-3"}, code: 206, body: "0123", rang: "bytes 0-3/10"},
		"the last bytes":                           {header: []string{"Range", "bytes=-3"}, code: 206, body: "789", rang: "bytes 7-9/10"},
		"more than all of the last bytes":          {header: []string{"Range", "bytes=-30"}, code: 206, body: body, rang: "bytes 0-9/10"},
		"bytes to the end":                         {header: []string{"Range", "bytes=9-"}, code: 206, body: "9", rang: "bytes 9-9/10"},
		"bytes beyond the end":                     {header: []string{"Range", "bytes=5-99999999999999999999"}, code: 206, body: "56789", rang: "bytes 5-9/10"},
		"nothing but bytes beyond the end":         {header: []string{"Range", "bytes=10-"}, code: 416, rang: "bytes */10"},
		"no last bytes":                            {header: []string{"Range", "bytes=-0"}, code: 416, rang: "bytes */10"},
		"two ranges":                               {header: []string{"Range", "bytes=0-1,3-4"}, code: 200, body: body},
		"a range backwards":                        {header: []string{"Range", "bytes=3-1"}, code: 200, body: body},
		"another unit":                             {header: []string{"Range", "lines=0-1"}, code: 200, body: body},
		"a range of the version that is there":     {header: []string{"Range", "bytes=0-0", "If-Range", `"v1"`}, code: 206, body: "0", rang: "bytes 0-0/10"},
		"a range of another version":               {header: []string{"Range", "bytes=0-0", "If-Range", `"v2"`}, code: 200, body: body},
		"a range of the version of a date":         {header: []string{"Range", "bytes=0-0", "If-Range", "Wed, 01 Jan 2020 00:00:00 GMT"}, code: 200, body: body},
		"a range unless it is the version that is": {header: []string{"Range", "bytes=0-0", "If-None-Match", `"v1"`}, code: 304},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+" with "+name, func(t *testing.T) {
				o := fixed(200, immutable("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT", "Content-Type", "text/javascript"), body)
				c := newCache(o)
				get(t, c, file)
				res := do(c, request(t.Context(), method, file, test.header...))
				code, want, rang := test.code, test.body, test.rang
				if method == "HEAD" && rang != "" {
					code, want, rang = 200, body, ""
				}
				length := strconv.Itoa(len(want))
				if code == 304 {
					length = ""
				}
				if method == "HEAD" {
					want = ""
				}
				if res.StatusCode != code || res.body != want || res.Header.Get("Content-Range") != rang || res.Header.Get("Content-Length") != length {
					t.Errorf("got %d %q %v", res.StatusCode, res.body, res.Header)
				}
				if (code == 200) != (res.Header.Get("Content-Type") != "") && code != 206 {
					t.Errorf("got %d %v", code, res.Header)
				}
				wantStatus(t, res, "clerkproxy; hit")
				if o.calls() != 1 {
					t.Errorf("%d calls", o.calls())
				}
			})
		}
	}
	t.Run("a condition on what is not there yet is evaluated when it is", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := fixed(200, immutable(), body)
			c := newCache(o)
			if res := get(t, c, file, "If-None-Match", `"v1"`); res.StatusCode != 304 {
				t.Errorf("got %d", res.StatusCode)
			}
			synctest.Wait()
			if res := get(t, c, file); res.body != body || o.calls() != 1 {
				t.Errorf("got %q after %d calls", res.body, o.calls())
			}
		})
	})
}

func TestAnUnsafeMethodEndsWhatIsKept(t *testing.T) {
	code := 200
	o := handled(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), immutable())
		if r.Method == "POST" {
			w.WriteHeader(code)
		}
	})
	c := newCache(o)
	get(t, c, file)
	code = 405
	wantStatus(t, do(c, request(t.Context(), "POST", file)), "clerkproxy; fwd=method")
	wantStatus(t, get(t, c, file), "clerkproxy; hit")
	code = 204
	do(c, request(t.Context(), "POST", file))
	wantStatus(t, get(t, c, file), "clerkproxy; fwd=uri-miss; stored")
}

func TestAHeadOfWhatIsNotThereGoesOnAlone(t *testing.T) {
	o := fixed(200, immutable(), "")
	c := newCache(o)
	for range 2 {
		wantStatus(t, do(c, request(t.Context(), "HEAD", file)), "clerkproxy; fwd=uri-miss")
	}
}

func TestWhatCachesBeforeSayIsKept(t *testing.T) {
	c := newCache(fixed(200, immutable("Cache-Status", "cdn; hit", "Age", "100", "Connection", "X-Hop", "X-Hop", "1", "Clerk-Secret-Key", "sk_live_x"), "body"))
	wantStatus(t, get(t, c, file), "cdn; hit, clerkproxy; fwd=uri-miss; stored")
	res := get(t, c, file)
	wantStatus(t, res, "cdn; hit, clerkproxy; hit")
	if res.Header.Get("Age") != "100" || res.Header["X-Hop"] != nil || res.Header["Connection"] != nil || res.Header["Clerk-Secret-Key"] != nil {
		t.Errorf("got %v", res.Header)
	}
}

func TestOneAnswersHeadersAreNotAnothers(t *testing.T) {
	c := newCache(fixed(200, immutable(), "body"))
	get(t, c, file)
	res := get(t, c, file)
	res.Header.Set("X-Mine", "1")
	res.Header.Add("Vary", "Mine")
	if res := get(t, c, file); res.Header["X-Mine"] != nil || len(res.Header["Vary"]) != 1 {
		t.Errorf("got %v", res.Header)
	}
}

func TestStale(t *testing.T) {
	down := errors.New("connection refused")
	for name, test := range map[string]struct {
		control string
		after   time.Duration
		header  []string
		fail    func() (*http.Response, error)
		code    int // of the answer; 0: an error
		want    string
	}{
		"within a minute it is served while it is asked for": {
			control: "max-age=60", after: 90 * time.Second, code: 200, want: "hit; ttl=-30; detail=stale-while-revalidate"},
		"after a minute it is asked for first": {
			control: "max-age=60", after: 3 * time.Minute, code: 200, want: "fwd=stale; fwd-status=304; stored"},
		"its own window goes first": {
			control: "max-age=60, stale-while-revalidate=600", after: 3 * time.Minute, code: 200, want: "hit; ttl=-120; detail=stale-while-revalidate"},
		"its own window may be none": {
			control: "max-age=60, stale-while-revalidate=0", after: 61 * time.Second, code: 200, want: "fwd=stale; fwd-status=304; stored"},
		"not where it must be asked for": {
			control: "max-age=60, must-revalidate", after: 61 * time.Second, code: 200, want: "fwd=stale; fwd-status=304; stored"},
		"not where shared caches must ask": {
			control: "s-maxage=60", after: 61 * time.Second, code: 200, want: "fwd=stale; fwd-status=304; stored"},
		"not to one that wants it fresh": {
			control: "max-age=60", after: 61 * time.Second, header: []string{"Cache-Control", "max-age=600"}, code: 200, want: "fwd=stale; fwd-status=304; stored"},
		"when the Frontend API is down it is served": {
			control: "max-age=60", after: time.Hour, fail: func() (*http.Response, error) { return nil, down }, code: 200, want: "fwd=stale; detail=stale-if-error"},
		"when the Frontend API is in trouble it is served": {
			control: "max-age=60", after: time.Hour, fail: func() (*http.Response, error) { return fixed(503, nil, "").answer(&http.Request{}) }, code: 200, want: "fwd=stale; fwd-status=503; detail=stale-if-error"},
		"when the Frontend API is down for days it is not": {
			control: "max-age=60", after: 48 * time.Hour, fail: func() (*http.Response, error) { return nil, down }},
		"when it must be asked for it is not served of one that is down": {
			control: "max-age=60, must-revalidate", after: time.Hour, fail: func() (*http.Response, error) { return nil, down }},
		"when its own window is over it is not": {
			control: "max-age=60, stale-if-error=60", after: time.Hour, fail: func() (*http.Response, error) { return nil, down }},
		"one that wants it validated gets the trouble": {
			control: "max-age=60", after: time.Hour, header: []string{"Cache-Control", "no-cache"}, fail: func() (*http.Response, error) { return fixed(503, nil, "").answer(&http.Request{}) }, code: 503, want: "fwd=stale"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := true
				o := &origin{}
				good := handled(func(w http.ResponseWriter, r *http.Request) {
					w.Header()["Cache-Control"] = []string{test.control}
					w.Header()["Etag"] = []string{`"v1"`}
					if r.Header.Get("If-None-Match") == `"v1"` {
						w.Header().Set("X-New", "1")
						w.WriteHeader(304)
						return
					}
					io.WriteString(w, "body")
				})
				o.answer = func(r *http.Request) (*http.Response, error) {
					if !first && test.fail != nil {
						return test.fail()
					}
					first = false
					return good.answer(r)
				}
				c := newCache(o)
				get(t, c, major)
				time.Sleep(test.after)
				res := do(c, request(t.Context(), "GET", major, test.header...))
				if test.code == 0 {
					if !errors.Is(res.err, down) {
						t.Errorf("got %v, %v", res.Response, res.err)
					}
					return
				}
				if res.err != nil || res.StatusCode != test.code || res.StatusCode == 200 && res.body != "body" {
					t.Fatalf("got %v", res)
				}
				wantStatus(t, res, "clerkproxy; "+test.want)
				synctest.Wait() // for what goes on in the background
				if calls := o.calls(); test.code == 200 && calls != 2 {
					t.Errorf("%d calls", calls)
				}
				if test.fail != nil {
					if test.code == 200 {
						wantStatus(t, get(t, c, major), "clerkproxy; hit; ttl="+strconv.Itoa(60-int(test.after/time.Second))+"; detail=stale-if-error")
						if o.calls() != 2 {
							t.Error("asked again at once")
						}
						time.Sleep(retryAfter)
						get(t, c, major)
						if o.calls() != 3 {
							t.Error("not asked again")
						}
					}
					return
				}
				again := get(t, c, major)
				wantStatus(t, again, "clerkproxy; hit")
				if again.Header.Get("X-New") != "1" || again.Header.Get("Age") != "0" || again.body != "body" {
					t.Errorf("got %v %q", again.Header, again.body)
				}
			})
		})
	}
}

func TestWhatANewAnswerDoesToAnOldOne(t *testing.T) {
	for name, test := range map[string]struct {
		code   int
		header http.Header
		body   string
		calls  int // to see the answer and one more
		want   string
	}{
		"a new file takes its place":                    {200, http.Header{"Cache-Control": {"max-age=60"}}, "new", 2, "new"},
		"a redirect takes its place":                    {307, http.Header{"Cache-Control": {"max-age=60"}, "Location": {"/x"}}, "new", 2, "new"},
		"a 304 for another version ends it":             {304, http.Header{"Etag": {`"v2"`}}, "", 4, "own"},
		"a 304 that says private ends it":               {304, http.Header{"Cache-Control": {"private"}}, "", 4, "own"},
		"a refusal leaves it, and is not for everybody": {403, nil, "no", 4, "own"},
		"a cookie leaves it, and is not for everybody":  {200, immutable("Set-Cookie", "a=b"), "x", 4, "own"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := handled(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case r.Header.Get("Cookie") != "":
						io.WriteString(w, "own")
					case r.Header.Get("If-None-Match") != "":
						maps.Copy(w.Header(), test.header)
						w.WriteHeader(test.code)
						io.WriteString(w, test.body)
					default:
						w.Header()["Cache-Control"] = []string{"max-age=60"}
						w.Header()["Etag"] = []string{`"v1"`}
						io.WriteString(w, "old")
					}
				})
				c := newCache(o)
				get(t, c, major)
				time.Sleep(time.Hour)
				for range 2 {
					if res := get(t, c, major); res.body != test.want {
						t.Errorf("got %q", res.body)
					}
				}
				if o.calls() != test.calls {
					t.Errorf("%d calls", o.calls())
				}
			})
		})
	}
}

func TestWhatIsNotForEverybodyIsNotTriedAtOnceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(404, nil, "none")
		c := newCache(o)
		for range 10 {
			get(t, c, file)
		}
		if o.calls() != 11 {
			t.Errorf("%d calls", o.calls())
		}
		time.Sleep(unsharedFor)
		get(t, c, file)
		if o.calls() != 13 {
			t.Errorf("%d calls", o.calls())
		}
		for i := range 3 * maxUnshared {
			get(t, c, file+strconv.Itoa(i))
		}
		if len(c.unshared) > maxUnshared || c.store.bytes() != 0 {
			t.Errorf("%d, %d bytes", len(c.unshared), c.store.bytes())
		}
	})
}

func TestAFileThatIsNotThereMayBeAMinuteLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(fixed(404, immutable(), "none"))
		get(t, c, file)
		time.Sleep(90 * time.Second)
		wantStatus(t, get(t, c, file), "clerkproxy; hit; ttl=-30; detail=stale-while-revalidate")
	})
}

func TestAFloodPassesByWhatIsInUse(t *testing.T) {
	body := strings.Repeat("x", 50<<10)
	o := fixed(200, immutable(), body)
	c := New(o, Config{MaxBytes: 1 << 20})
	get(t, c, file)
	get(t, c, file)
	for i := range 200 {
		get(t, c, file+"?"+strconv.Itoa(i))
		if got := c.store.bytes(); got > c.store.max {
			t.Fatalf("%d bytes", got)
		}
	}
	wantStatus(t, get(t, c, file), "clerkproxy; hit")
	// Asked for twice, the others are in use too, and the oldest has to go.
	for i := range 200 {
		for range 2 {
			get(t, c, file+"?again"+strconv.Itoa(i))
		}
	}
	wantStatus(t, get(t, c, file), "clerkproxy; fwd=uri-miss; stored")
	var sum int64
	for _, variants := range c.store.entries {
		for _, e := range variants {
			sum += e.size
		}
	}
	if sum != c.store.bytes() || c.store.held != 0 {
		t.Errorf("%d bytes in entries, %d accounted for, %d held", sum, c.store.bytes(), c.store.held)
	}
}

func TestWithoutRoomNothingIsKept(t *testing.T) {
	o := fixed(200, immutable(), "body")
	c := New(o, Config{})
	for range 2 {
		wantStatus(t, get(t, c, file), "clerkproxy; fwd=uri-miss")
	}
	if o.calls() != 2 {
		t.Errorf("%d calls", o.calls())
	}
}

func TestManyAtOnce(t *testing.T) { synctest.Test(t, testManyAtOnce) }

func testManyAtOnce(t *testing.T) {
	bodies := map[string]string{}
	for i := range 40 {
		bodies[fmt.Sprintf("%s?%d", file, i)] = strings.Repeat(strconv.Itoa(i)+";", 1000*(i%20+1))
	}
	o := handled(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.RawQuery, "7"):
			w.Header()["Set-Cookie"] = []string{"a=b"}
		case strings.HasSuffix(r.URL.RawQuery, "8"):
			w.Header()["Vary"] = []string{"Origin"}
		}
		w.Header()["Cache-Control"] = []string{"max-age=60"}
		w.Header()["Etag"] = []string{`"v1"`}
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(304)
			return
		}
		io.WriteString(w, bodies[r.URL.RequestURI()])
	})
	c := New(o, Config{MaxBytes: 512 << 10})
	targets := slices.Sorted(maps.Keys(bodies))
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := range 100 {
				n := worker*31 + i*17
				target := targets[n%len(targets)]
				ctx, cancel := context.WithCancel(t.Context())
				var header []string
				method, want, code := "GET", bodies[target], 200
				switch n % 7 {
				case 1:
					header = []string{"Cache-Control", "no-cache"}
				case 2:
					header = []string{"Origin", fmt.Sprintf("https://%d.test", n%3)}
				case 3:
					header, want, code = []string{"If-None-Match", `"v1"`}, "", 304
				case 4:
					method, want = "HEAD", ""
				case 5:
					cancel()
				case 6:
					method, want = "POST", bodies[target]
				}
				res := do(c, request(ctx, method, target, header...))
				if n%7 != 5 && (res.err != nil || res.StatusCode != code || method != "HEAD" && res.body != want) {
					t.Errorf("%s %s %v: %v", method, target, header, res.err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	synctest.Wait()
	if c.store.held != 0 || c.store.bytes() > c.store.max {
		t.Errorf("%d held, %d of %d bytes", c.store.held, c.store.bytes(), c.store.max)
	}
	s := c.Stats()
	if n := s.Hits + s.Stale + s.Shared + s.Misses; n != 64*100 || s.Hits == 0 || s.Misses == 0 {
		t.Errorf("%d requests were counted: %+v", n, s)
	}
}

func TestOfAnyClockTheAgeIsTrue(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := now
	o := fixed(200, http.Header{"Cache-Control": {"max-age=60"}, "Date": {now.Add(-20 * time.Second).Format(http.TimeFormat)}, "Age": {"5"}}, "body")
	c := New(o, Config{MaxBytes: 1 << 20, Now: func() time.Time { return clock }})
	if age := get(t, c, file).Header.Get("Age"); age != "20" {
		t.Errorf("Age: %s", age)
	}
	clock = now.Add(39 * time.Second)
	if age := get(t, c, file).Header.Get("Age"); age != "59" {
		t.Errorf("Age: %s", age)
	}
	clock = now.Add(-time.Hour)
	if age := get(t, c, file).Header.Get("Age"); age != "0" {
		t.Errorf("Age: %s", age)
	}
}
