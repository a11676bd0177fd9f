package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clerkproxy/clerkproxy/internal/freeport"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"clerk-proxy": func() { os.Exit(Main(os.Args[1:])) },
	})
}

// The scripts know these keys as $PK, $SK, and of a development instance as
// $PK_TEST and $SK_TEST.
const (
	livePublishableKey = "pk_live_Y2xlcmsuYXBwLmRldiQ"
	liveSecretKey      = "sk_live_7Qm2vX9bTz4kLw8n"
	testPublishableKey = "pk_test_Zm9vLWJhci0xMy5jbGVyay5hY2NvdW50cy5kZXYk"
	testSecretKey      = "sk_test_3Rf6yH1cJd5pSa0e"
)

// TestScripts runs testdata/script. Besides testscript's own commands they use:
//
//	start NAME clerk-proxy ARGS    runs it until it says that it listens; its address is then $NAME
//	await NAME REGEXP [VARIABLE]   waits until it has said that; the variable gets the first group
//	said NAME REGEXP               asserts that it has; ! said, that it has not
//	signal NAME SIGNAL             sends it TERM, INT or HUP; or QUIT, ABRT or SEGV, of which it crashes
//	ended NAME                     waits for its end with status 0; ! ended, with another
//	stand-in NAME                  starts an upstream that answers with what it was sent, at $NAME
//	http [HEADER:VALUE...] URL     prints the answer to a GET; by https it asks for the host of the header
//	                               Host, and trusts the certificates made here
//	certificate NAME LIFE HOST...  makes one, in NAME.pem and NAME.key; LIFE is how long it is valid from now on
//	hold [HEADER:VALUE...] URL     begins a request; returns when a stand-in has it
//	release                        lets the stand-ins answer it, and prints the answer
//	source FILE                    sets the variables in a file of KEY=value lines
//	brittle NAME ADDRESS FAULT     starts what passes everything on to a proxy, at $NAME, until Clerk lets
//	                               browsers in: then it fails (break), or does not answer (hang)
//	hanging                        waits until it, or a stand-in, does not answer
//	dns NAME HOST=TARGET...        starts a DNS server with these aliases, at $NAME
//	tunnel NAME ADDRESS            starts a proxy for HTTPS_PROXY, at $NAME, which leads everywhere to one address
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PK", livePublishableKey)
			env.Setenv("SK", liveSecretKey)
			env.Setenv("PK_TEST", testPublishableKey)
			env.Setenv("SK_TEST", testSecretKey)
			env.Setenv("FREE", freeport.Address(env.T().(testing.TB))) // over UDP too
			// The race detector would have every process sleep before it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			// One address by default is one too few for all that run at a time.
			env.Setenv("CLERK_PROXY_ADMIN_LISTEN", "off")
			// What a script starts inside of its process ends with it.
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			s := &script{ctx: ctx, processes: map[string]*process{}, trusted: x509.NewCertPool(), held: make(chan struct{}), release: make(chan struct{}), answer: make(chan string, 1)}
			env.Defer(func() { cancel(); s.kill() })
			env.Values[scriptKey{}] = s
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":       start,
			"await":       await,
			"said":        said,
			"signal":      signalProcess,
			"ended":       ended,
			"stand-in":    standIn,
			"http":        httpGet,
			"certificate": makeCertificate,
			"hold":        hold,
			"release":     release,
			"source":      source,
			"brittle":     brittle,
			"hanging":     hanging,
			"dns":         dns,
			"tunnel":      tunnel,
		},
	})
}

// script is the state of one of them.
type script struct {
	ctx       context.Context
	processes map[string]*process
	trusted   *x509.CertPool
	held      chan struct{} // a stand-in has got a request that it is to hold
	release   chan struct{} // closed when it may answer
	answer    chan string
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func (s *script) kill() {
	for _, p := range s.processes {
		_ = p.command.Process.Kill()
		<-p.over
	}
}

// process is a running clerk-proxy. It collects what is said.
type process struct {
	command *exec.Cmd
	over    chan struct{}
	err     error // once over

	mu   sync.Mutex
	said bytes.Buffer
	more chan struct{} // closed and replaced when there is more
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.said.Write(b)
}

func (p *process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String(), p.more
}

// await returns the match once the output has one.
func (p *process) await(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	for {
		output, more := p.output()
		if match := pattern.FindStringSubmatch(output); match != nil {
			return match, nil
		}
		select {
		case <-more:
		case <-p.over:
			if again, _ := p.output(); again == output {
				return nil, fmt.Errorf("it ended without saying %s; it said:\n%s", pattern, output)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("it does not say %s; it said:\n%s", pattern, output)
		}
	}
}

// listening finds the address in the first lines of serve and emulator.
var listening = regexp.MustCompile(`(?:msg=listening address=|"msg":"listening","address":"|Frontend API +https://)([^\s"]+)`)

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME COMMAND ARGS...")
	}
	p := &process{command: exec.Command(args[1], args[2:]...), over: make(chan struct{}), more: make(chan struct{})}
	p.command.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "GORACE", "GOTRACEBACK", "CLERK_PUBLISHABLE_KEY", "CLERK_SECRET_KEY", "CLERK_SECRET_KEY_FILE", "CLERK_PROXY_URL", "CLERK_FAPI_URL", "CLERK_PROXY_FAPI_CA", "CLERK_PROXY_ADMIN_LISTEN", "CLERK_PROXY_ASSET_CASH", "CLERK_PROXY_PORT", "CLERK_PROXY_SERVICE_HOST", "SHOP_KEY"} {
		if value := ts.Getenv(name); value != "" {
			p.command.Env = append(p.command.Env, name+"="+value)
		}
	}
	p.command.Stdout, p.command.Stderr = p, p
	ts.Check(p.command.Start())
	go func() { p.err = p.command.Wait(); close(p.over) }() // kill ends it
	of(ts).processes[args[0]] = p
	match, err := p.await(of(ts).ctx, listening)
	ts.Check(err)
	ts.Setenv(args[0], match[1])
}

func named(ts *testscript.TestScript, name string) *process {
	p := of(ts).processes[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: await NAME REGEXP [VARIABLE]")
	}
	match, err := named(ts, args[0]).await(of(ts).ctx, regexp.MustCompile(args[1]))
	ts.Check(err)
	if len(args) == 3 {
		ts.Setenv(args[2], match[1])
	}
}

func said(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: said NAME REGEXP")
	}
	output, _ := named(ts, args[0]).output()
	if regexp.MustCompile(args[1]).MatchString(output) == neg {
		ts.Fatalf("it said:\n%s", output)
	}
}

func signalProcess(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP,
		"QUIT": syscall.SIGQUIT, "ABRT": syscall.SIGABRT, "SEGV": syscall.SIGSEGV}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: signal NAME TERM|INT|HUP|QUIT|ABRT|SEGV")
	}
	ts.Check(named(ts, args[0]).command.Process.Signal(signals[args[1]]))
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: ended NAME")
	}
	p := named(ts, args[0])
	select {
	case <-p.over:
	case <-of(ts).ctx.Done():
		ts.Fatalf("%s does not end", args[0])
	}
	if failed := p.err != nil; failed != neg {
		output, _ := p.output()
		ts.Fatalf("%s ended with %v; it said:\n%s", args[0], p.err, output)
	}
}

func standIn(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stand-in NAME")
	}
	s := of(ts)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/hold") {
			s.keep(r.Context())
		}
		w.Header().Set("X-Answered-By", args[0])
		fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
		_ = r.Header.Write(w)
	}))
	ts.Defer(upstream.Close)
	ts.Setenv(args[0], upstream.URL)
}

// keep holds a request that a script waits for, until it is released or given up.
func (s *script) keep(request context.Context) {
	select {
	case s.held <- struct{}{}:
	case <-request.Done(): // or a script that has failed would wait for the stand-in for ever
		return
	}
	select {
	case <-s.release:
	case <-request.Done():
	}
}

func httpGet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: http [HEADER:VALUE...] URL")
	}
	last := len(args) - 1
	answer, err := of(ts).get(args[last], args[:last])
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), answer)
	ts.Check(err)
}

func (s *script) get(url string, headers []string) (string, error) {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ":")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Add(name, value)
	}
	name, _, _ := strings.Cut(r.Host, ":")
	transport := &http.Transport{TLSClientConfig: &tls.Config{ServerName: name, RootCAs: s.trusted}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	err = resp.Write(&answer)
	return answer.String(), err
}

func makeCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: certificate NAME LIFE HOST...")
	}
	life, err := time.ParseDuration(args[1])
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: args[0]}, DNSNames: args[2:],
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	of(ts).trusted.AppendCertsFromPEM([]byte(ts.ReadFile(args[0] + ".pem")))
}

func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: hold [HEADER:VALUE...] URL")
	}
	s := of(ts)
	go func() {
		last := len(args) - 1
		answer, err := s.get(args[last], args[:last])
		if err != nil {
			answer = "no answer: " + err.Error()
		}
		s.answer <- answer
	}()
	select {
	case <-s.held:
	case answer := <-s.answer:
		ts.Fatalf("it was answered at once: %s", answer)
	}
}

func release(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: release")
	}
	s := of(ts)
	close(s.release)
	_, err := io.WriteString(ts.Stdout(), <-s.answer)
	ts.Check(err)
}

func source(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: source FILE")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && !strings.HasPrefix(line, "#") {
			ts.Setenv(name, value)
		}
	}
}
