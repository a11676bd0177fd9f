package front

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/answertest"
)

// serve serves a handler here and returns the address.
func serve(t testing.TB, c Config) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := New(c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, nil) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s, l.Addr().String()
}

// serveStandard serves it with net/http's server.
func serveStandard(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// talk sends bytes over a connection of its own, and nothing after them, and
// returns all that comes back.
func talk(t testing.TB, addr, sent string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, sent)
	_ = c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil && len(got) == 0 {
		return "reset"
	}
	return string(got)
}

// normal is what was answered, with headers sorted and without the date.
func normal(raw string) string {
	var out strings.Builder
	r := bufio.NewReader(strings.NewReader(dates.ReplaceAllString(raw, "Date: now\r\n")))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			out.WriteString(line)
			return out.String()
		}
		out.WriteString(line)
		header, err := textproto.NewReader(r).ReadMIMEHeader()
		if err != nil {
			fmt.Fprintf(&out, "unreadable: %v", err)
			return out.String()
		}
		for _, name := range slices.Sorted(maps.Keys(header)) {
			fmt.Fprintf(&out, "%s: %q\n", name, header[name])
		}
		switch n, _ := strconv.Atoi(header.Get("Content-Length")); {
		case strings.HasPrefix(line, "HTTP/1.1 1"):
		case header.Get("X-Method") == "HEAD":
		case header["Transfer-Encoding"] != nil:
			body, err := io.ReadAll(httputil.NewChunkedReader(r))
			fmt.Fprintf(&out, "chunks of %d bytes %q, %v\n", len(body), body[:min(len(body), 200)], err)
			trailer, _ := textproto.NewReader(r).ReadMIMEHeader()
			fmt.Fprintln(&out, trailer)
		default:
			body := make([]byte, n)
			got, _ := io.ReadFull(r, body)
			fmt.Fprintf(&out, "%d bytes %q\n", got, body[:min(got, 200)])
		}
	}
}

var dates = regexp.MustCompile(`Date: [A-Z][a-z]{2}, \d\d [^\r]* GMT\r\n`)

// tell answers with what the handler is told of a request.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	header := maps.Clone(r.Header)
	delete(header, "Connection") // it is the server's business
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s host %q length %d coding %v close %v trailer %v\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close, r.Trailer)
	fmt.Fprintf(&b, "%q %q %q %v\n", r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.ForceQuery)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(&b, "%s: %q\n", name, header[name])
	}
	fmt.Fprintf(&b, "body %q %v\n", body, err)
	w.Header().Set("X-Method", r.Method)
	_, _ = w.Write(b.Bytes())
}

const host = "Host: app.dev\r\n"

var requests = map[string]string{
	"a GET":                       "GET / HTTP/1.1\r\n" + host + "\r\n",
	"a HEAD":                      "HEAD / HTTP/1.1\r\n" + host + "\r\n",
	"with a query":                "GET /a?b=c&d=%zz;e HTTP/1.1\r\n" + host + "\r\n",
	"with an empty query":         "GET /a? HTTP/1.1\r\n" + host + "\r\n",
	"with two question marks":     "GET /a?? HTTP/1.1\r\n" + host + "\r\n",
	"with escapes":                "GET /a%2Fb//c/../%C3%A9;x=1 HTTP/1.1\r\n" + host + "\r\n",
	"with odd characters":         "GET /a|b\"<>^`{}\\ HTTP/1.1\r\n" + host + "\r\n",
	"with a fragment":             "GET /a#b HTTP/1.1\r\n" + host + "\r\n",
	"with two slashes":            "GET //evil.com/x HTTP/1.1\r\n" + host + "\r\n",
	"with a bad escape":           "GET /%zz HTTP/1.1\r\n" + host + "\r\n",
	"with bytes that are no text": "GET /\xff HTTP/1.1\r\n" + host + "\r\n",
	"with headers":                "GET / HTTP/1.1\r\n" + host + "X-a: 1\r\nx-A:2 \r\nEmpty:\r\nCookie: a=b; c=d\r\nUser-Agent:\tx\t\r\nb\xe9: x\r\n\r\n",
	"with lower-case headers":     "GET / HTTP/1.1\r\nhost: app.dev\r\naccept-encoding: br\r\nx-forwarded-for: 1.2.3.4\r\n\r\n",
	"with text beyond ASCII":      "GET / HTTP/1.1\r\n" + host + "X: \xc3\xa9\xff\r\n\r\n",
	"with a control character":    "GET / HTTP/1.1\r\n" + host + "X: a\x01b\r\n\r\n",
	"with a lone CR":              "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n",
	"with a space before a colon": "GET / HTTP/1.1\r\n" + host + "X : a\r\n\r\n",
	"with a folded header":        "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n",
	"with a nameless header":      "GET / HTTP/1.1\r\n" + host + ": a\r\n\r\n",
	"with no colon":               "GET / HTTP/1.1\r\n" + host + "X\r\n\r\n",
	"with bare line feeds":        "GET / HTTP/1.1\nHost: app.dev\n\n",
	"with an empty line first":    "\r\nGET / HTTP/1.1\r\n" + host + "\r\n",
	"without a host":              "GET / HTTP/1.1\r\n\r\n",
	"with an empty host":          "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"with two hosts":              "GET / HTTP/1.1\r\n" + host + "Host: evil\r\n\r\n",
	"with an odd host":            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"with a host and a path":      "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"of HTTP/1.0":                 "GET / HTTP/1.0\r\n" + host + "\r\n",
	"of HTTP/1.0, kept alive":     "GET / HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n",
	"of another version":          "GET / HTTP/1.2\r\n" + host + "\r\n",
	"of HTTP/2":                   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"of no version":               "GET /\r\n" + host + "\r\n",
	"with a full target":          "GET http://other.dev/x HTTP/1.1\r\n" + host + "\r\n",
	"OPTIONS of everything":       "OPTIONS * HTTP/1.1\r\n" + host + "\r\n",
	"CONNECT":                     "CONNECT a.dev:443 HTTP/1.1\r\nHost: a.dev:443\r\n\r\n",
	"a method of one's own":       "PURGE /x HTTP/1.1\r\n" + host + "\r\n",
	"a method that is none":       "G(T /x HTTP/1.1\r\n" + host + "\r\n",
	"TRACE":                       "TRACE /x HTTP/1.1\r\n" + host + "\r\n",
	"nonsense":                    "hello\r\n\r\n",
	"nothing":                     "",
	"half a request":              "GET / HTTP/1.1\r\nHos",
	"TLS":                         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"a POST":                      "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello",
	"a POST of nothing":           "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n",
	"a POST without a length":     "POST / HTTP/1.1\r\n" + host + "\r\n",
	"a DELETE with a body":        "DELETE / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello",
	"a GET with a body":           "GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello",
	"half a body":                 "POST / HTTP/1.1\r\n" + host + "Content-Length: 50\r\n\r\nhello",
	"a large body":                "POST / HTTP/1.1\r\n" + host + "Content-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000),
	"in chunks":                   "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
	"with a length and chunks":    "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"with two lengths":            "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"with the same length twice":  "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"with a list of lengths":      "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 5\r\n\r\nhello",
	"with a length of +5":         "POST / HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\nhello",
	"with a negative length":      "POST / HTTP/1.1\r\n" + host + "Content-Length: -5\r\n\r\nhello",
	"with an enormous length":     "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\nhello",
	"with an empty length":        "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n",
	"with an unknown coding":      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\nhello",
	"that expects":                "POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
	"that expects the unexpected": "POST / HTTP/1.1\r\n" + host + "Expect: miracles\r\nContent-Length: 5\r\n\r\nhello",
	"with a trailer announced":    "GET / HTTP/1.1\r\n" + host + "Trailer: X\r\n\r\n",
	"that is the last":            "GET /1 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"that is kept alive":          "GET /1 HTTP/1.1\r\n" + host + "Connection: Keep-Alive\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"that nominates a header":     "GET / HTTP/1.1\r\n" + host + "Connection: x-a, close\r\nX-A: 1\r\n\r\n",
	"an upgrade":                  "GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"two at once":                 "GET /1 HTTP/1.1\r\n" + host + "\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"two, the second unusual":     "GET /1 HTTP/1.1\r\n" + host + "\r\nGET /2 HTTP/1.0\r\n" + host + "\r\n",
	"two, the second malformed":   "GET /1 HTTP/1.1\r\n" + host + "\r\nGET /2\r\n\r\n",
	"two, the first unusual":      "POST /1 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"three with bodies":           strings.Repeat("POST / HTTP/1.1\r\n"+host+"Content-Length: 3\r\n\r\nabc", 3),
	"a body and what follows it":  "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"an empty line behind a POST": "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"two of them":                 "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"three of them":               "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello\r\n\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"nothing else behind a POST":  "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello\r\n\r\n",
	"an empty line behind a GET":  "GET /1 HTTP/1.1\r\n" + host + "\r\n\r\nGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"a lone CR behind a POST":     "POST /1 HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n\rGET /2 HTTP/1.1\r\n" + host + "\r\n",
	"with long headers":           "GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 30<<10) + "\r\n\r\n",
	"with pragma":                 "GET / HTTP/1.1\r\n" + host + "Pragma: no-cache\r\n\r\n",
	"with pragma and more":        "GET / HTTP/1.1\r\n" + host + "Pragma: no-cache\r\nCache-Control: max-age=0\r\n\r\n",
}

// The handler sees the same of every request as behind net/http's server, and
// the client the same of its answer.
func TestRequestsAreReadAsTheStandardServerReadsThem(t *testing.T) {
	_, ours := serve(t, Config{Handler: http.HandlerFunc(tell)})
	standard := serveStandard(t, guarded(http.HandlerFunc(tell)))
	for name, raw := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, ours, standard, raw)
		})
	}
}

// Where such a request ends, a proxy in front may see otherwise. What follows it is
// not taken for a request.
func TestAFramingThatIsNotBeyondDoubtEndsTheConnection(t *testing.T) {
	_, addr := serve(t, Config{Handler: http.HandlerFunc(tell)})
	for name, sent := range map[string]string{
		"a length and chunks":                    "POST /first HTTP/1.1\r\n" + host + "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a length and chunks of HTTP/1.0":        "POST /first HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks of HTTP/1.0":                     "POST /first HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
		"chunks of HTTP/1.0 behind another":      get + "POST /first HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a length and chunks behind another one": get + "POST /first HTTP/1.1\r\n" + host + "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		got := talk(t, addr, sent+"GET /smuggled HTTP/1.1\r\n"+host+"\r\n")
		if !strings.Contains(got, "POST /first ") || !strings.Contains(got, "Connection: close\r\n") || strings.Contains(got, "/smuggled") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func compare(t *testing.T, ours, standard, raw string) {
	t.Helper()
	got, want := normal(talk(t, ours, raw)), normal(talk(t, standard, raw))
	if got != want {
		t.Errorf("%.2000q:\ngot\n%s\nwant\n%s", raw, cmp.Or(got, "nothing"), cmp.Or(want, "nothing"))
	}
}

func FuzzRequest(f *testing.F) {
	for _, raw := range requests {
		if len(raw) < 1000 {
			f.Add(raw)
		}
	}
	_, ours := serve(f, Config{Handler: http.HandlerFunc(tell)})
	standard := serveStandard(f, guarded(http.HandlerFunc(tell)))
	f.Fuzz(func(t *testing.T, raw string) { compare(t, ours, standard, raw) })
}

// A handler's answer reaches the client as from net/http's server.
func TestAnswersAreWrittenAsTheStandardServerWritesThem(t *testing.T) {
	for name, answer := range answertest.Handlers() {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Method", r.Method)
			answer(w, r)
		})
		for _, method := range []string{"GET", "HEAD", "POST"} {
			for rest, next := range map[string]string{"": "", " and again": method + " / HTTP/1.1\r\n" + host + "\r\n"} {
				t.Run(method+" answered with "+name+rest, func(t *testing.T) {
					t.Parallel()
					_, ours := serve(t, Config{Handler: handler})
					compare(t, ours, serveStandard(t, handler), method+" / HTTP/1.1\r\n"+host+"\r\n"+next)
				})
			}
		}
	}
}
