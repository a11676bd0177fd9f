// Package auth_test sends the same requests through package auth and through
// @clerk/express, and compares what comes out.
package auth_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerkproxy/clerkproxy/auth"
)

const npm = "../../../npm"

func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.Contains(name, "CLERK_") || strings.HasPrefix(name, "VERCEL") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// A testCase is one request, and how both sides are configured for it.
type testCase struct {
	name    string
	options options
	method  string // GET
	target  string // /
	host    string // app.dev
	header  m
	cookies []string
	after   time.Duration // since the start
	has     []requirement
}

// A requirement is what has() is asked, on either side.
type requirement struct {
	js   m
	ours auth.Requirement
}

// options configure both sides.
type options struct {
	js   m
	ours func(*auth.Config)
}

// An outcome is what can be seen of a decision.
type outcome struct {
	Status    int
	Location  string
	Cookies   []string
	Auth      [3]string // X-Clerk-Auth-Status, -Reason, -Message
	Headers   [3]string // Cache-Control, Access-Control-Allow-…
	App       string    // what the application saw, as JSON
	Questions []string  // what the Backend API was asked to refresh
}

var jwt = regexp.MustCompile(`eyJ[\w-]*\.[\w-]*\.[\w-]*`)

// String leaves tokens out.
func (o outcome) String() string {
	type plain outcome
	return jwt.ReplaceAllString(fmt.Sprintf("%+v", plain(o)), "…")
}

func TestSameAsExpress(t *testing.T) {
	backend := newBackendAPI(t)
	yardstick := startYardstick(t)
	ours := newOurs(t, backend)
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(client.CloseIdleConnections)

	cases := allCases(backend)
	used := map[string]bool{}
	var equal int
	reasons := map[string]int{} // how many cases differ by each
	for _, c := range cases {
		if used["case "+c.name] {
			t.Errorf("two cases are named %q", c.name)
		}
		used["case "+c.name] = true
		c.options.js["apiUrl"] = backend.URL

		theirs := observe(t, client, backend, yardstick, c, true)
		ours.prepare(t, c)
		mine := observe(t, client, backend, ours.url, c, false)
		fields := compare(theirs, mine)

		listed := listedFor(c.name)
		for _, d := range listed {
			used[d.cases] = true
		}
		switch {
		case len(fields) == 0 && len(listed) > 0:
			t.Errorf("%s: is listed as different, and is equal: %s", c.name, listed[0].cases)
		case len(fields) > 0 && len(listed) == 0:
			t.Errorf("%s: %s differ\n  theirs %s\n  ours   %s", c.name, strings.Join(fields, ", "), theirs, mine)
		case len(fields) > 0 && !covers(listed, fields):
			t.Errorf("%s: %s differ, more than is listed\n  theirs %s\n  ours   %s", c.name, strings.Join(fields, ", "), theirs, mine)
		}
		if len(fields) == 0 {
			equal++
		} else if len(listed) > 0 {
			reasons[listed[0].reason]++
		}
	}
	for _, d := range differences {
		if !used[d.cases] {
			t.Errorf("no case is named as this listed difference: %s", d.cases)
		}
	}
	t.Logf("%d cases: %d equal, %d different for %d reasons", len(cases), equal, len(cases)-equal, len(reasons))
	for reason, n := range reasons {
		t.Logf("%d: %s", n, reason)
	}
	if len(cases) < 250 {
		t.Errorf("%d cases are fewer than 250", len(cases))
	}
}

func listedFor(name string) []difference {
	var all []difference
	for _, d := range differences {
		if ok, err := path.Match(d.cases, name); err != nil {
			panic(err)
		} else if ok {
			all = append(all, d)
		}
	}
	return all
}

func covers(listed []difference, fields []string) bool {
	for _, f := range fields {
		if !slices.ContainsFunc(listed, func(d difference) bool { return slices.Contains(strings.Fields(d.fields), f) }) {
			return false
		}
	}
	return true
}

func compare(theirs, ours outcome) []string {
	var fields []string
	differ := func(name string, d bool) {
		if d {
			fields = append(fields, name)
		}
	}
	differ("status", theirs.Status != ours.Status)
	differ("location", canonical(theirs.Location) != canonical(ours.Location))
	differ("cookies", !slices.Equal(theirs.Cookies, ours.Cookies))
	differ("auth", theirs.Auth[0] != ours.Auth[0] || theirs.Auth[1] != ours.Auth[1])
	differ("message", theirs.Auth[2] != ours.Auth[2])
	differ("headers", theirs.Headers != ours.Headers)
	differ("app", theirs.App != ours.App)
	differ("questions", !slices.Equal(theirs.Questions, ours.Questions))
	return fields
}

// canonical writes a URL so that equal URLs are equal strings: the parameters in
// order, and the URLs in them likewise.
func canonical(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return s
	}
	query, _ := url.ParseQuery(strings.ReplaceAll(u.RawQuery, ";", "%3B")) // not a separator, in the URL Standard
	for _, values := range query {
		for i, v := range values {
			if strings.Contains(v, "://") {
				values[i] = canonical(v)
			}
		}
		slices.Sort(values)
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath() + "?" + query.Encode() + "#" + u.Fragment
}

// observe sends the request and takes down what comes out.
func observe(t *testing.T, client *http.Client, backend *backendAPI, to string, c testCase, yardstick bool) outcome {
	t.Helper()
	method, target, host := "GET", "/", "app.dev"
	if c.method != "" {
		method = c.method
	}
	if c.target != "" {
		target = c.target
	}
	if c.host != "" {
		host = c.host
	}
	req, err := http.NewRequestWithContext(t.Context(), method, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = target
	if strings.HasPrefix(target, "//") {
		req.URL.Opaque = "//" + req.URL.Host + target
	}
	req.Host = host
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("User-Agent", "conformance")
	for name, value := range c.header {
		req.Header.Set(name, value.(string))
	}
	if len(c.cookies) > 0 {
		req.Header.Set("Cookie", strings.Join(c.cookies, "; "))
	}
	if yardstick {
		told := m{"now": start.Add(c.after).UnixMilli(), "options": c.options.js, "has": jsRequirements(c.has)}
		encoded, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Yardstick", base64.StdEncoding.EncodeToString(encoded))
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := resp.Header
	o := outcome{
		Status:    resp.StatusCode,
		Location:  h.Get("Location"),
		Cookies:   h["Set-Cookie"],
		Auth:      [3]string{h.Get("X-Clerk-Auth-Status"), h.Get("X-Clerk-Auth-Reason"), h.Get("X-Clerk-Auth-Message")},
		Questions: backend.questions(),
	}
	if resp.StatusCode < 500 { // an error page is the framework's
		o.Headers = [3]string{h.Get("Cache-Control"), h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials")}
	}
	if resp.StatusCode == http.StatusOK {
		o.App = string(body)
	}
	return o
}

func jsRequirements(all []requirement) []m {
	list := []m{}
	for _, r := range all {
		list = append(list, r.js)
	}
	return list
}

// startYardstick starts @clerk/express and returns its URL.
func startYardstick(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(npm, "node_modules", "@clerk", "express")); err != nil {
		t.Fatal("the pinned npm packages are not installed; run: make npm")
	}
	dir, err := filepath.Abs(npm)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "yardstick.js", dir)
	cmd.Env = append(os.Environ(), "CLERK_TELEMETRY_DISABLED=1", "NODE_ENV=test")
	// Not our own standard error itself: Node makes what it inherits
	// non-blocking, and go test then loses lines.
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Node: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
		if complaints.Len() > 0 {
			t.Logf("the yardstick says: %s", complaints.String())
		}
	})
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop() // which ends its output
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the yardstick did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

// ours serves package auth as the yardstick serves @clerk/express.
type ours struct {
	url     string
	backend *backendAPI
	handler http.Handler
	now     atomic.Int64
	made    map[string]*auth.Authenticator
}

func newOurs(t *testing.T, backend *backendAPI) *ours {
	o := &ours{backend: backend, made: map[string]*auth.Authenticator{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { o.handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// prepare makes the Authenticator of a case, or takes the one of an earlier case
// with the same options, with what it remembers.
func (o *ours) prepare(t *testing.T, c testCase) {
	t.Helper()
	id := fmt.Sprint(c.options.js)
	a := o.made[id]
	if a == nil {
		config := auth.Config{
			BackendAPIURL: o.backend.URL,
			Now:           func() time.Time { return time.UnixMilli(o.now.Load()) },
			Logger:        slog.New(slog.DiscardHandler),
		}
		c.options.ours(&config)
		var err error
		if a, err = auth.New(config); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		o.made[id] = a
	}
	o.now.Store(start.Add(c.after).UnixMilli())
	o.handler = a.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { application(w, r, c) }))
}

// application shows what it sees.
func application(w http.ResponseWriter, r *http.Request, c testCase) {
	type seen struct {
		UserID         string   `json:"userId"`
		SessionID      string   `json:"sessionId"`
		OrgID          string   `json:"orgId"`
		OrgRole        string   `json:"orgRole"`
		OrgSlug        string   `json:"orgSlug"`
		OrgPermissions []string `json:"orgPermissions"`
		Has            []bool   `json:"has"`
	}
	s := seen{OrgPermissions: []string{}, Has: []bool{}}
	session, ok := auth.FromContext(r.Context())
	sdk, sdkOK := clerk.SessionClaimsFromContext(r.Context())
	if ok != sdkOK || ok && sdk.Subject != session.UserID {
		http.Error(w, "Clerk's SDK sees somebody else", http.StatusTeapot)
		return
	}
	if ok {
		s.UserID, s.SessionID, s.OrgID, s.OrgRole, s.OrgSlug = session.UserID, session.ID, session.OrgID, session.OrgRole, session.OrgSlug
		s.OrgPermissions = append(s.OrgPermissions, session.OrgPermissions...)
	}
	for _, r := range c.has {
		s.Has = append(s.Has, session.Has(r.ours))
	}
	body, _ := json.Marshal(s)
	_, _ = w.Write(body)
}
