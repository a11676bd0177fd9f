package wire

import (
	"bufio"
	"net/http"
	"net/textproto"
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
