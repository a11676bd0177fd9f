// Package streaming shows with the real binary that nothing is buffered whole:
// large bodies and endless ones pass through, and the process stays small.
package streaming

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/instance"
)

const (
	large  = 64 << 20
	growth = 16 << 20 // what the process may grow by
)

// patience is how long a body may take, of which a part waits for another to arrive:
// where one is buffered, it waits for ever.
const patience = time.Minute

// pattern is size bytes of which no two blocks are alike.
func pattern(size int64) io.Reader { return io.LimitReader(&blocks{}, size) }

type blocks struct {
	n   uint64
	buf [32]byte
	at  int
}

func (b *blocks) Read(p []byte) (int, error) {
	for i := range p {
		if b.at == 0 {
			b.n++
			b.buf = sha256.Sum256(strconv.AppendUint(nil, b.n/64, 10)) // a new block every 2 KiB is enough
		}
		p[i] = b.buf[b.at]
		b.at = (b.at + 1) % len(b.buf)
	}
	return len(p), nil
}

func digest(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// process is a running clerk-proxy.
type process struct {
	pid int
	url string // of the proxy, without a trailing slash
}

func start(t *testing.T, fapi string) process {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "clerk-proxy")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/clerk-proxy").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--fapi-url", fapi, "--host", "127.0.0.1", "--log-format", "text")
	cmd.Env = append(os.Environ(), "CLERK_PUBLISHABLE_KEY="+instance.PublishableKey("clerk.app.dev", true), "CLERK_SECRET_KEY=sk_live_streaming")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
	lines := bufio.NewScanner(stderr)
	var log strings.Builder
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if _, rest, ok := strings.Cut(lines.Text(), "address="); ok {
			address, _, _ := strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the process
			return process{cmd.Process.Pid, "http://" + address + "/__clerk"}
		}
	}
	t.Fatalf("clerk-proxy did not start:\n%s", &log)
	return process{}
}

// peak is the most memory that the process had since forget, in bytes.
func (p process) peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

func (p process) forget(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestLargeAndEndlessBodies(t *testing.T) {
	want := digest(t, pattern(large))
	got := make(chan string, 1)
	hungUp := make(chan struct{})
	// What is here has arrived at the other end.
	upstreamHas, clientHas := make(chan struct{}, 1), make(chan struct{}, 1)
	fapi := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up":
			first := make([]byte, 1)
			if _, err := io.ReadFull(r.Body, first); err != nil {
				t.Error(err)
			}
			upstreamHas <- struct{}{}
			h := sha256.New()
			h.Write(first)
			if _, err := io.Copy(h, r.Body); err != nil {
				t.Error(err)
			}
			got <- hex.EncodeToString(h.Sum(nil))
		case "/down":
			w.Header().Set("Content-Length", strconv.Itoa(large))
			body := pattern(large)
			_, _ = io.CopyN(w, body, 1000)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-clientHas:
				_, _ = io.Copy(w, body)
			case <-r.Context().Done():
			}
		case "/events":
			defer close(hungUp)
			w.Header().Set("Content-Type", "text/event-stream")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(w, "data: %d %s\n\n", i, strings.Repeat("x", 1000)); err != nil {
					return
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					return
				}
			}
		}
	}))
	defer fapi.Close()
	p := start(t, fapi.URL)
	client := &http.Client{Timeout: patience}
	resp, err := client.Get(p.url + "/warm-up")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	p.forget(t)
	before := p.peak(t)

	t.Run("64 MiB up", func(t *testing.T) {
		body := pattern(large)
		r, w := io.Pipe()
		go func() {
			_, _ = io.CopyN(w, body, 1000)
			select {
			case <-upstreamHas:
				_, _ = io.Copy(w, body)
				_ = w.Close()
			case <-t.Context().Done():
			}
		}()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", p.url+"/up", r)
		req.ContentLength = large
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		if s := <-got; s != want {
			t.Errorf("digest %s, want %s", s, want)
		}
	})
	t.Run("64 MiB down", func(t *testing.T) {
		resp, err := client.Get(p.url + "/down")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(resp.Body, first); err != nil {
			t.Fatal(err)
		}
		clientHas <- struct{}{}
		h := sha256.New()
		h.Write(first)
		if _, err := io.Copy(h, resp.Body); err != nil {
			t.Fatal(err)
		}
		if s := hex.EncodeToString(h.Sum(nil)); s != want || resp.ContentLength != large {
			t.Errorf("length %d, digest %s, want %s", resp.ContentLength, s, want)
		}
	})
	t.Run("an endless event stream", func(t *testing.T) {
		resp, err := client.Get(p.url + "/events")
		if err != nil {
			t.Fatal(err)
		}
		events := bufio.NewReader(resp.Body)
		for i := range 20_000 {
			line, err := events.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, fmt.Sprintf("data: %d ", i)) {
				t.Fatalf("event %d: %.20q, %v", i, line, err)
			}
			_, _ = events.ReadString('\n')
		}
		resp.Body.Close()
		select {
		case <-hungUp:
		case <-time.After(patience):
			t.Fatal("the upstream's side does not end with the client's")
		}
	})

	if grown := p.peak(t) - before; grown > growth {
		t.Errorf("the process grew by %d KiB, from %d KiB", grown>>10, before>>10)
	} else {
		t.Logf("the process grew by %d KiB, from %d KiB", grown>>10, before>>10)
	}
}
