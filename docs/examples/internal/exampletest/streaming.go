package exampletest

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/auth"
)

// streaming checks what a router and its middlewares can get in the way of. The
// Frontend API is one that answers line by line what it is sent.
func streaming(t *testing.T, application Application) {
	frontendAPI := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</early>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Request-Uri", r.RequestURI)
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, lines.Text()+"\n")
			_ = control.Flush()
		}
	}))
	t.Cleanup(frontendAPI.Close)

	ClearEnvironment(t)
	log := slog.New(slog.DiscardHandler)
	proxy, err := clerkproxy.New(clerkproxy.Config{
		PublishableKey: "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k", // clerk.example.com
		SecretKey:      "sk_live_0123456789",
		FrontendAPIURL: frontendAPI.URL,
		Logger:         log,
	})
	if err != nil {
		t.Fatal(err)
	}
	authn, err := auth.New(auth.Config{Proxy: proxy, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(application(proxy, authn))
	t.Cleanup(site.Close)

	t.Run("a path, byte for byte, and the status after early hints", func(t *testing.T) {
		const path = "/__clerk/v1//client/%2e%2E/a;b+c?x=1;y"
		early := 0
		response := request(t, http.MethodGet, site.URL+path, nil, func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints && h.Get("Link") != "" {
				early++
			}
			return nil
		})
		if got := response.Header.Get("X-Request-Uri"); got != path[len("/__clerk"):] {
			t.Errorf("the Frontend API saw %q", got)
		}
		if response.StatusCode != http.StatusTeapot || early != 1 {
			t.Errorf("%d after %d early hints", response.StatusCode, early)
		}
	})

	t.Run("each line as it is sent", func(t *testing.T) {
		upload, writer := io.Pipe()
		defer writer.Close()
		// Nothing comes back before the first line is there.
		go func() { _, _ = io.WriteString(writer, "one\n") }()
		response := request(t, http.MethodPost, site.URL+"/__clerk/v1/lines", upload, nil)
		if response.StatusCode != http.StatusAccepted {
			t.Errorf("status %d", response.StatusCode)
		}
		answer := bufio.NewReader(response.Body)
		for _, next := range []string{"two\n", "three\n", ""} {
			line, err := answer.ReadString('\n')
			if err != nil {
				t.Fatalf("%q, %v", line, err)
			}
			if _, err := io.WriteString(writer, next); err != nil {
				t.Fatal(err)
			}
		}
		writer.Close()
		if rest, err := io.ReadAll(answer); err != nil || len(rest) != 0 {
			t.Errorf("at the end %q, %v", rest, err)
		}
	})
}

// request makes a request that ends, at the latest, with the test: one that
// waits for a flush that never comes would wait for ever.
func request(t *testing.T, method, to string, body io.Reader, informed func(int, textproto.MIMEHeader) error) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: informed})
	r, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}
