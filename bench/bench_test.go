package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPercentileIsNearestRank(t *testing.T) {
	values := []float64{15, 20, 35, 40, 50}
	for p, want := range map[float64]float64{5: 15, 30: 20, 40: 20, 50: 35, 99: 50, 100: 50} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile %v is %v, want %v", p, got, want)
		}
	}
	if !math.IsNaN(percentile(nil, 50)) {
		t.Error("a percentile of nothing is a number")
	}
}

func TestSpread(t *testing.T) {
	if got, want := spreadOf([]float64{3, 1, 2}), (spread{2, 1, 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{4, 1, 2, 3}), (spread{2.5, 1, 4}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseStat(t *testing.T) {
	stat := "31285 (a (b) R 1) S 31281 31281 24972 0 -1 4194304 101 0 0 0 250 75 9 9 20 0 1 0 264334 2998272"
	p, err := parseStat([]byte(stat))
	if err != nil || p.parent != 31281 || p.cpu != 3250*time.Millisecond {
		t.Errorf("got %+v, %v", p, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 2 3"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestParsePSS(t *testing.T) {
	got, err := parsePSS([]byte("5581 ---p\nRss:    2000 kB\nPss:       1234 kB\nPss_Dirty: 9 kB\n"))
	if err != nil || got != 1234<<10 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parsePSS([]byte("Rss: 1 kB\n")); err == nil {
		t.Error("no error without Pss")
	}
}

func TestNumberHasThreeDigits(t *testing.T) {
	for f, want := range map[float64]string{1234.5: "1234", 56.78: "56.8", 1.239: "1.24", 0.04567: "0.046", 0: "0.00", math.NaN(): "–"} {
		if got := number(f); got != want {
			t.Errorf("%v is written %s, want %s", f, got, want)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		wire  string
		bytes int64
		close bool
		fails bool
	}{
		"length":       {wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", bytes: 5},
		"chunks":       {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", bytes: 6},
		"last":         {wire: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", close: true},
		"cut short":    {wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", bytes: 3, fails: true},
		"no length":    {wire: "HTTP/1.1 200 OK\r\n\r\nhello", fails: true},
		"not HTTP":     {wire: "SSH-2.0-OpenSSH_9.2\r\n", fails: true},
		"chunk of x":   {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", fails: true},
		"half a chunk": {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", bytes: 2, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(test.wire))
			var received atomic.Int64
			h, err := readHead(r)
			if err == nil {
				err = discardBody(r, h.length, &received)
			}
			if (err != nil) != test.fails || received.Load() != test.bytes || h.close != test.close {
				t.Errorf("%d bytes, close %t, %v", received.Load(), h.close, err)
			}
			if !test.fails && r.Buffered() > 0 {
				t.Errorf("%d bytes left", r.Buffered())
			}
		})
	}
}

func TestStatusOfHeaderBlock(t *testing.T) {
	for name, test := range map[string]struct {
		block []byte
		flags byte
		want  bool
	}{
		"200":                    {[]byte{0x88, 1, 2}, 0, true},
		"404":                    {[]byte{0x8d}, 0, false},
		"after an update":        {[]byte{0x20, 0x88}, 0, true},
		"after a longer update":  {[]byte{0x3f, 0xe1, 0x1f, 0x88}, 0, true},
		"padded":                 {[]byte{1, 0x88, 0}, flagPadded, true},
		"with priority":          {[]byte{0, 0, 0, 0, 9, 0x88}, flagPriority, true},
		"nothing":                {nil, 0, false},
		"an update and no more":  {[]byte{0x3f, 0xff}, 0, false},
		"500 written as literal": {[]byte{0x08, 3, '5', '0', '0'}, 0, false},
	} {
		if got := isStatus200(test.block, test.flags); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestHeaderStringOfAnyLength(t *testing.T) {
	// RFC 7541 §5.1: what exceeds the seven bits of the prefix follows in
	// groups of seven, the least significant first.
	for length, want := range map[int][]byte{
		0: {0}, 126: {126}, 127: {127, 0}, 128: {127, 1}, 254: {127, 127}, 255: {127, 128, 1}, 1337: {127, 0xba, 0x09},
	} {
		got := appendString(nil, strings.Repeat("a", length))
		if !bytes.HasPrefix(got, want) || len(got) != len(want)+length {
			t.Errorf("a string of %d begins % x, want % x", length, got[:min(len(got), 4)], want)
		}
	}
}

func TestFrame(t *testing.T) {
	f := frame(frameData, flagEndStream, 5, []byte("hello"))
	if !bytes.Equal(f[:5], []byte{0, 0, 5, 0, 1}) || binary.BigEndian.Uint32(f[5:]) != 5 || string(f[9:]) != "hello" {
		t.Errorf("% x", f)
	}
}

func TestWindowGrowsByWhatIsAcknowledged(t *testing.T) {
	const rtt = 40 * time.Millisecond
	start := time.Now()
	w := newWindow(rtt)
	// 84 KB are 58 segments: 10 at once, 20 a round trip later, 28 after two.
	trips := map[int]int{}
	for range 58 {
		trips[int(w.send(start, segmentSize).Sub(start)/rtt)]++
	}
	if trips[0] != 10 || trips[1] != 20 || trips[2] != 28 {
		t.Errorf("segments by round trip: %v", trips)
	}
}

func TestRatiosOfWhatWasNotMeasured(t *testing.T) {
	var m measurements
	m.add("json-h1", "clerkproxy", metricCPU, 30)
	if got := m.reached(marks[0]); !math.IsNaN(got) {
		t.Errorf("a ratio of %v without nginx", got)
	}
	m.add("json-h1", "nginx", metricCPU, 20)
	m.add("json-h1", "nginx", metricCPU, 30)
	if got := m.reached(marks[0]); got != 1.2 {
		t.Errorf("got %v, want 1.2", got)
	}
}

func TestChoose(t *testing.T) {
	all := []string{"a", "b", "c"}
	if got, err := choose("peer", "c, a", all); err != nil || strings.Join(got, "") != "ac" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := choose("peer", "a,x", all); err == nil {
		t.Error("an unknown name was accepted")
	}
}
