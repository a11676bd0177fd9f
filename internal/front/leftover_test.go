package front

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A goroutine that a handler has left behind cannot touch what the connection is
// about by then.
func TestWhatAHandlerLeavesBehindTouchesNothing(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run("over "+protocol, func(t *testing.T) {
			var left http.ResponseWriter
			var body io.ReadCloser
			authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/leave" {
					left, body = w, r.Body
					fmt.Fprint(w, "left")
					return
				}
				control := http.NewResponseController(left)
				if _, err := left.Write([]byte("evil")); err == nil {
					t.Error("it can write")
				}
				if err := control.Flush(); err == nil {
					t.Error("it can flush")
				}
				left.WriteHeader(http.StatusTeapot)
				left.WriteHeader(http.StatusEarlyHints)
				for name, limit := range map[string]func(time.Time) error{"reading": control.SetReadDeadline, "writing": control.SetWriteDeadline} {
					if err := limit(time.Unix(1, 0)); err == nil {
						t.Errorf("it can limit the time of %s", name)
					}
				}
				if content, _ := io.ReadAll(body); len(content) > 0 && string(content) != "hello" {
					t.Errorf("it can read %q", content)
				}
				_ = body.Close()
				content, err := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %v", content, err)
			})}, protocol)
			client := authority.Client()
			transport := client.Transport.(*http.Transport)
			transport.TLSClientConfig.NextProtos, transport.ForceAttemptHTTP2 = []string{protocol}, protocol == "h2"
			for range 20 { // pools are at liberty to forget
				for path, want := range map[string]string{"/leave": "left", "/": "world <nil>"} {
					sent := map[string]string{"/leave": "hello", "/": "world"}[path]
					if path == "/" && left == nil {
						continue
					}
					resp, err := client.Post("https://"+addr+path, "", strings.NewReader(sent))
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if string(got) != want || err != nil || resp.StatusCode != 200 {
						t.Errorf("got %s %q, %v", resp.Status, got, err)
					}
				}
			}
		})
	}
}

// One that is writing while the handler returns is waited for, so that answers
// stay apart.
func TestAWriteThatOutlivesItsHandler(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run("over "+protocol, func(t *testing.T) {
			var all sync.WaitGroup
			authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/leave" {
					fmt.Fprint(w, "well")
					return
				}
				all.Go(func() {
					for {
						if _, err := fmt.Fprint(w, "evil"); err != nil {
							return
						}
						_ = http.NewResponseController(w).Flush()
					}
				})
			})}, protocol)
			client := authority.Client()
			transport := client.Transport.(*http.Transport)
			transport.TLSClientConfig.NextProtos, transport.ForceAttemptHTTP2 = []string{protocol}, protocol == "h2"
			for range 50 {
				for _, path := range []string{"/leave", "/"} {
					resp, err := client.Get("https://" + addr + path)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if path == "/" && string(got) != "well" || err != nil {
						t.Errorf("got %q, %v", got, err)
					}
				}
			}
			all.Wait()
		})
	}
}

// The word for which a client waits comes from whoever reads the body, while the
// handler may be answering.
func TestTheWordToContinueNeverFollowsTheAnswer(t *testing.T) {
	var readers sync.WaitGroup
	_, addr := serveTLS2(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		readers.Go(func() { _, _ = r.Body.Read(make([]byte, 1)) })
		w.WriteHeader(http.StatusForbidden)
		_ = http.NewResponseController(w).Flush()
	})})
	c := dial2(t, addr)
	for id := uint32(1); id < 400; id += 2 {
		c.headers(id, false, ":method", "POST", ":scheme", "https", ":authority", "app.dev", ":path", "/", "expect", "100-continue", "content-length", "5")
		for answered := false; ; {
			f := c.next()
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				status := h.PseudoValue("status")
				if answered || status != "100" && status != "403" {
					t.Fatalf("%s after the answer: %v", status, answered)
				}
				answered = status == "403"
			}
			if _, ok := f.(*http2.RSTStreamFrame); ok {
				break
			}
		}
	}
	readers.Wait()
}

// What a handler puts around the body of a request does not hide it from the
// limits of time.
func TestTheTimeOfAWrappedBodyIsLimited(t *testing.T) {
	got := make(chan error, 1)
	authority, addr := serveTLS(t, Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = struct{ io.ReadCloser }{r.Body}
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		_, err := io.ReadAll(r.Body)
		got <- err
	})}, "h2")
	r, w := io.Pipe()
	defer w.Close()
	resp, err := client2(t, authority).RoundTrip(httptest.NewRequest("POST", "https://"+addr, r))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var timeout interface{ Timeout() bool }
	if err := <-got; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v", err)
	}
}
