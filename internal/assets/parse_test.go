package assets

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzDirectives(f *testing.F) {
	for _, s := range []string{"public, max-age=60", `private="a, b", no-store`, `a="b, no-store`, "max-age=99999999999999999999", `x="\"", no-cache`, ",,=,", "max-age"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := parseDirectives([]string{s})
		for _, v := range []time.Duration{d.maxAge, d.sharedMaxAge, d.minFresh, d.whileRevalidate, d.staleIfError} {
			if v < absent || v > maxSeconds*time.Second {
				t.Errorf("%v", v)
			}
		}
		// What is said after it in a list of its own counts, whatever it is.
		if d := parseDirectives([]string{s, "no-store"}); !d.noStore {
			t.Error("no-store was lost")
		}
		if d := parseDirectives([]string{"no-store," + s}); !d.noStore {
			t.Error("no-store was lost")
		}
		now := time.Now()
		if fresh, ok := freshnessOf(200, http.Header{"Cache-Control": {s}, "Expires": {s}, "Age": {s}, "Date": {s}}, now, now); ok && fresh.lifetime <= 0 {
			t.Error("fresh for no time")
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=9-1", "bytes=0-1,2-3", "bytes=99999999999999999999-", "BYTES = 1-2"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, size int) {
		if size < 0 {
			return
		}
		start, end, ok := parseRange(s, int64(size))
		if ok && start < end && (start < 0 || end > int64(size)) {
			t.Errorf("%d-%d of %d", start, end, size)
		}
		if ok && strings.Contains(s, ",") {
			t.Error("several ranges taken for one")
		}
	})
}

func FuzzVary(f *testing.F) {
	for _, s := range []string{"Accept-Encoding", "*", "Origin, Accept", "cookie", ",, ,", strings.Repeat("a,", 40)} {
		f.Add(s, "br, gzip;q=0")
	}
	f.Fuzz(func(t *testing.T, vary, accept string) {
		asked := http.Header{"Cookie": {"a"}, "Origin": {"o"}, "Accept-Encoding": {accept}}
		e, _ := parseAcceptEncoding(asked["Accept-Encoding"])
		if e > allEncodings {
			t.Fatalf("encodings %b", e)
		}
		if again, ok := parseAcceptEncoding([]string{e.String()}); !ok || again != e {
			t.Errorf("%q is read as %b", e.String(), again)
		}
		fetched, dropped := fetchHeader(asked, e)
		fields, ok := varyOf(http.Header{"Vary": {vary}}, fetched, dropped)
		for name := range strings.SplitSeq(vary, ",") {
			name = strings.Trim(name, " \t")
			if ok && (name == "*" || strings.EqualFold(name, "Cookie")) {
				t.Errorf("%q is shared", vary)
			}
		}
		kept := entry{vary: fields}
		if ok && !kept.matches(asked) {
			t.Errorf("%q: the answer is not for who asked", vary)
		}
	})
}

func FuzzTagListed(f *testing.F) {
	f.Add(`W/"a", "b"`, `"b"`)
	f.Add(`"a`, `"a"`)
	f.Fuzz(func(t *testing.T, list, tag string) {
		if tagListed(list, "") && strings.Trim(list, " \t") != "*" {
			t.Error("an answer without a tag matches")
		}
		tagListed(list, tag)
	})
}

func TestParseAcceptEncoding(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		want   encodings
		ok     bool
	}{
		"nothing is no coding":                 {"", 0, true},
		"a browser's":                          {"gzip, deflate, br, zstd", allEncodings, true},
		"names have no case":                   {"GZip", gzip, true},
		"the old name of gzip":                 {"x-gzip", gzip, true},
		"weight 0 is a refusal":                {"br;q=0.000, gzip ; Q=0.001", gzip, true},
		"a bad weight is one too":              {"br;q=2, gzip;q=, zstd;q=0.0001", 0, true},
		"a star is all that is not named":      {"br;q=0, *;q=0.5", gzip | zstd, true},
		"a refused star refuses the bare file": {"br, *;q=0", brotli, false},
		"so does refused identity":             {"br, identity;q=0", brotli, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := parseAcceptEncoding([]string{test.header}); got != test.want || ok != test.ok {
				t.Errorf("got %b, %v", got, ok)
			}
		})
	}
}
