package check

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/clerkproxy/clerkproxy/internal/forwarded"
)

const (
	// apiVersion is the version of Clerk's APIs that is spoken.
	apiVersion = "2026-05-12"

	// maxBody and maxPlain are how much of an answer is read, and how much it
	// may decode to: ClerkJS, many times over.
	maxBody  = 4 << 20
	maxPlain = 8 << 20

	userAgent = "clerk-proxy-check (+https://github.com/clerkproxy/clerkproxy)"
)

// client asks one base URL. It follows no redirect and decodes nothing on its
// own: what arrives is what is judged.
type client struct {
	base      string // without a trailing slash
	timeout   time.Duration
	header    map[string]string // sent with every request
	transport *http.Transport
	each      func(path string, a *answer) // told of every answer, unless nil
}

func newClient(base string, roots *x509.CertPool, timeout time.Duration) *client {
	return &client{
		base:    base,
		timeout: timeout,
		transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 256 << 10,
			IdleConnTimeout:        time.Minute,
		},
	}
}

// egress reports whether requests go through a proxy of this machine's network,
// which HTTPS_PROXY names.
func (c *client) egress() bool {
	r, err := http.NewRequest(http.MethodGet, c.base, nil)
	if err != nil {
		return false
	}
	via, err := c.transport.Proxy(r)
	return err == nil && via != nil
}

// answer is what came back.
type answer struct {
	url    *url.URL // that was asked
	status int
	proto  string
	header http.Header
	body   []byte // as it came
	broken error  // the body ended before it should have
	plain  []byte // decoded by Content-Encoding
	coding error  // it could not be decoded
	took   time.Duration

	local, remote netip.Addr // of the connection
}

// get asks for a path, which is appended to the base as it is.
func (c *client) get(ctx context.Context, path string, header map[string]string) (*answer, error) {
	return c.ask(ctx, http.MethodGet, path, "", header)
}

// ask sends a request. An error means that no answer came.
func (c *client) ask(ctx context.Context, method, path, body string, header map[string]string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	a := new(answer)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		a.local, _ = forwarded.ParseAddr(info.Conn.LocalAddr().String())
		a.remote, _ = forwarded.ParseAddr(info.Conn.RemoteAddr().String())
	}})
	var reader io.Reader // of no body, for a GET
	if method != http.MethodGet {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Encoding", "gzip, br")
	for _, headers := range []map[string]string{c.header, header} {
		for name, value := range headers {
			r.Header.Set(name, value)
		}
	}
	began := time.Now()
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a.url, a.status, a.proto, a.header = r.URL, resp.StatusCode, resp.Proto, resp.Header
	a.body, a.broken = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	a.took = time.Since(began)
	a.plain, a.coding = decode(a.header.Values("Content-Encoding"), a.body)
	if c.each != nil {
		c.each(path, a)
	}
	return a, nil
}

// decode undoes the codings of a body, the last first (RFC 9110 §8.4). With an
// error it returns what could be decoded.
func decode(fields []string, body []byte) ([]byte, error) {
	codings := strings.Split(strings.ToLower(strings.Join(fields, ",")), ",")
	for i := len(codings) - 1; i >= 0; i-- {
		var err error
		if body, err = decodeOnce(strings.TrimSpace(codings[i]), body); err != nil {
			return body, err
		}
	}
	return body, nil
}

func decodeOnce(coding string, body []byte) ([]byte, error) {
	var reader io.Reader
	switch coding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		reader = r
	case "br":
		reader = brotli.NewReader(bytes.NewReader(body))
	default:
		return nil, fmt.Errorf("the coding %s was not asked for", quoted(coding))
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxPlain+1))
	if err == nil && len(plain) > maxPlain {
		err = errors.New("it decodes to more than any script of Clerk's")
	}
	return plain, err
}

// apiAnswer is the JSON of either of Clerk's APIs, as far as anybody here reads
// it; also that of the proxies that imitate its errors.
type apiAnswer struct {
	TraceID string `json:"clerk_trace_id"`
	Errors  []struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		LongMessage string `json:"long_message"`
	} `json:"errors"`

	// Of /v1/environment.
	AuthConfig    json.RawMessage `json:"auth_config"`
	DisplayConfig json.RawMessage `json:"display_config"`
}

func (a *answer) api() (parsed apiAnswer) {
	_ = json.Unmarshal(a.plain, &parsed) // whatever it is, it says nothing then
	return parsed
}

// code is the code of an error in Clerk's form, or empty.
func (a *answer) code() string {
	if errors := a.api().Errors; len(errors) > 0 {
		return errors[0].Code
	}
	return ""
}

// message is what an error in Clerk's form says, or empty.
func (a *answer) message() string {
	parsed := a.api()
	if len(parsed.Errors) == 0 {
		return ""
	}
	if long := parsed.Errors[0].LongMessage; long != "" {
		return long
	}
	return parsed.Errors[0].Message
}

const headerTraceID = "X-Clerk-Trace-Id"

// fromClerk reports whether an answer is the Frontend API's own: by its trace
// id, by an error that only it gives, or by what it holds.
func (a *answer) fromClerk() bool {
	parsed := a.api()
	switch {
	case a.header.Get(headerTraceID) != "", parsed.TraceID != "":
		return true
	case a.status == http.StatusOK && parsed.AuthConfig != nil && parsed.DisplayConfig != nil:
		return true
	}
	switch a.code() {
	case codeHostInvalid, codeSecretMissing, codeSecretInvalid, codeNotFound, codeMethod, codeMalformed:
		return true
	}
	return false
}

// The codes of Clerk's errors that are understood.
const (
	codeHostInvalid   = "host_invalid"
	codeSecretMissing = "proxy_request_missing_secret_key"
	codeSecretInvalid = "proxy_request_invalid_secret_key"
	codeNotFound      = "resource_not_found"
	codeMethod        = "method_not_allowed"
	codeMalformed     = "malformed_request_parameters"
)

// redirect is where an answer sends the browser, or nil.
func (a *answer) redirect() *url.URL {
	if a.status < 300 || a.status > 399 || a.header.Get("Location") == "" {
		return nil
	}
	to, err := a.url.Parse(a.header.Get("Location"))
	if err != nil {
		return nil
	}
	return to
}

// describe is an answer in a few words, for one that was not expected.
func (a *answer) describe() string {
	s := fmt.Sprintf("status %d", a.status)
	if code := a.code(); code != "" {
		return s + ", " + quoted(code)
	}
	if kind := a.header.Get("Content-Type"); kind != "" {
		s += ", " + quoted(kind)
	}
	return s
}
