package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseFields(t *testing.T) {
	got, ok := ParseFields(Fields{{"X", "before"}}, "host: app.dev\r\nX-a:1\r\nx-A: \t2 \t\r\nEmpty:\r\nText: \xc3\xa9\tx\r\n")
	want := Fields{{"X", "before"}, {"Host", "app.dev"}, {"X-A", "1"}, {"X-A", "2"}, {"Empty", ""}, {"Text", "\xc3\xa9\tx"}}
	if !ok || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, ok)
	}
	if values := got.Values("X-A"); !slices.Equal(values, []string{"1", "2"}) || got.Values("None") != nil {
		t.Errorf("got %q", values)
	}
	if !got.Has("Empty") || got.Has("None") || got.Get("X-A") != "1" || got.Get("None") != "" {
		t.Error("Has and Get tell something else")
	}
	header := http.Header{"X": {"before"}, "Host": {"app.dev"}, "X-A": {"1", "2"}, "Empty": {""}, "Text": {"\xc3\xa9\tx"}}
	if h := got.Header(); !reflect.DeepEqual(h, header) {
		t.Errorf("got %q", h)
	}
	h := got.Header()
	h["X"] = append(h["X"], "more") // does not run into the next one's value
	if !slices.Equal(h["Host"], []string{"app.dev"}) {
		t.Errorf("got %q", h)
	}
}

func TestParseFieldsRefuses(t *testing.T) {
	for name, header := range map[string]string{
		"a line without a colon":       "X\r\n",
		"a line without a name":        ": a\r\n",
		"a space before the colon":     "X : a\r\n",
		"a space before the name":      " X: a\r\n",
		"a folded line":                "X: a\r\n b\r\n",
		"a bare line feed":             "X: a\nY: b\r\n",
		"a carriage return in a value": "X: a\rb\r\n",
		"a control character":          "X: a\x00b\r\n",
		"a name that is none":          "a b: c\r\n",
		"an empty line":                "\r\n",
		"no end of line":               "X: a",
	} {
		if got, ok := ParseFields(nil, header); ok {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// A target is what net/http takes for one that begins with a slash, but for spaces
// and hash signs.
func TestIsTarget(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/a%2Fb//c/../%C3%a9;x=1?d=%zz&e??": true, "/?": true, "//x": true, "/a|b\"<>^`{}\\": true, "/\xff?\xff": true,
		"": false, "*": false, "a": false, "?": false, "http://x/": false,
		"/%": false, "/%a": false, "/%zz": false, "/%a?b": false, "/?%": true,
		"/ ": false, "/? ": false, "/\t": false, "/\x00": false, "/?\x7f": false, "/\r\n": false,
		"/#": false, "/a#b": false, "/?a#b": false,
	} {
		if got := IsTarget(target); got != want {
			t.Errorf("%q: got %v", target, got)
		}
		_, err := url.ParseRequestURI(target)
		if lenient := err == nil && target[0] == '/' && !strings.ContainsAny(target, " #"); lenient != want {
			t.Errorf("%q: to net/http it is %v", target, lenient)
		}
	}
}

func TestIsAuthority(t *testing.T) {
	for target, want := range map[string]bool{
		"app.dev:443": true, "app.dev": true, "[::1]:443": true, "127.0.0.1:1": true,
		"": false, "%0": false, "[::1": false, "user@app.dev:443": false, "app.dev:443/x": false, "app.dev?x": false, "a b": false, "app.dev:x": false,
	} {
		if IsAuthority(target) != want {
			t.Errorf("%q: got %v", target, !want)
		}
	}
}

func TestIsASCII(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\x00~\x7f": true, "a\x80": false, "\xff": false} {
		if IsASCII(s) != want {
			t.Errorf("%q", s)
		}
	}
}

// What is parsed at all means to net/http what it means here.
func FuzzParseFields(f *testing.F) {
	f.Add("Host: app.dev\r\nX-a: 1\r\nx-A:2 \r\nEmpty:\r\n")
	f.Add("a: b\r\n c\r\n")
	f.Fuzz(func(t *testing.T, header string) {
		fields, ok := ParseFields(nil, header)
		if !ok {
			return
		}
		want, err := textproto.NewReader(bufio.NewReader(strings.NewReader(header + "\r\n"))).ReadMIMEHeader()
		if got := fields.Header(); err != nil || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, http.Header(want)) {
			t.Errorf("%q: got %q, want %q, %v", header, got, want, err)
		}
		var again []byte
		for _, f := range fields {
			again = AppendField(again, f.Name, f.Value)
		}
		if second, ok := ParseFields(nil, string(again)); !ok || !slices.Equal(second, fields) {
			t.Errorf("%q: written again it is %q", header, second)
		}
	})
}

// Wherever a byte stands, it is judged as if it stood alone.
func TestIsValue(t *testing.T) {
	for c := range 256 {
		for length := 1; length < 20; length++ {
			for at := range length {
				b := bytes.Repeat([]byte{'\xff'}, length)
				b[at] = byte(c)
				want := c >= ' ' && c != 0x7f || c == '\t'
				if got := IsValue(string(b)); got != want {
					t.Fatalf("%q: got %v", b, got)
				}
				if at > 0 && !want {
					b[at-1] = '\t' // does not hide it
					if IsValue(string(b)) {
						t.Fatalf("%q: got true", b)
					}
				}
			}
		}
	}
}

func BenchmarkParseFields(b *testing.B) {
	header := "Host: app.dev\r\nCookie: __session=abcdefghijklmnopqrstuvwxyz0123456789; __client_uat=1767225600\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\nAccept: */*\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\nReferer: https://app.dev/\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: empty\r\n"
	var fields Fields
	b.ReportAllocs()
	for b.Loop() {
		var ok bool
		if fields, ok = ParseFields(fields[:0], header); !ok {
			b.Fatal("refused")
		}
	}
}
