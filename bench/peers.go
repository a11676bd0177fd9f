package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	publishableKey = "pk_live_Y2xlcmsuYmVuY2gudGVzdCQ" // of clerk.bench.test
	secretKey      = "sk_live_bench"
	proxyPath      = "/__clerk"
	proxyURL       = "https://" + appHost + proxyPath

	// idleTimeout is how long every peer that can be told keeps an unused
	// connection to the upstream: nginx's default. It is well below the time
	// that proxies are left alone before a burst.
	idleTimeout = 60 * time.Second
)

// peer is one of the proxies that are compared.
type peer struct {
	name, title string
	// verifies says whether it checks the upstream's certificate, toUpstream
	// what it speaks to it.
	verifies   bool
	toUpstream string
	noHTTP2    bool // from the client
	// prepare finds or builds the program, and returns its version.
	prepare func(ctx context.Context, e *environment) (version string, err error)
	// command makes what starts the proxy.
	command func(s setting) (*exec.Cmd, error)
	// note is worth knowing of its configuration.
	note string
}

func allPeers() []peer {
	return []peer{clerkproxy(), nginxTuned(), nginxAsInGuide(), haproxy(), caddy(), reverseProxy(), express()}
}

func (p peer) String() string { return p.name }

func names[T fmt.Stringer](all []T) []string {
	var s []string
	for _, each := range all {
		s = append(s, each.String())
	}
	return s
}

func defaultCores() int { return min(runtime.NumCPU(), 2) }

// environment is what a run has.
type environment struct {
	options
	root  string // of the repository
	cache string // for what is built once
	dir   string // for this run, removed after it
	certs certificates
	port  int // the last that was given out
}

// setting is what a proxy is started with.
type setting struct {
	*environment
	dir      string // its own
	port     int
	http2    bool   // TLS and HTTP/2 from the client
	upstream string // host:port
}

func (s setting) listen() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s setting) file(name, content string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o644)
}

// instance is a proxy that runs.
type instance struct {
	peer    peer
	address string
	process *process
	behaves behaviour
}

// start starts a proxy and waits until it answers a request as it should.
func (p peer) start(ctx context.Context, e *environment, http2 bool, upstream string) (*instance, error) {
	dir, err := os.MkdirTemp(e.dir, p.name+"-")
	if err != nil {
		return nil, err
	}
	// nginx's workers are another user when it is started by root.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	port, err := e.freePort()
	if err != nil {
		return nil, err
	}
	s := setting{environment: e, dir: dir, port: port, http2: http2, upstream: upstream}
	cmd, err := p.command(s)
	if err != nil {
		return nil, err
	}
	// Go's own proxies take all cores otherwise; the others ignore it.
	cmd.Env = append(append(os.Environ(), cmd.Env...), fmt.Sprintf("GOMAXPROCS=%d", e.cores))
	process, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	i := &instance{peer: p, address: s.listen(), process: process}
	if err := i.await(ctx, s); err != nil {
		process.stop()
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, process.output())
	}
	return i, nil
}

// await waits until the proxy forwards, and looks at how.
func (i *instance) await(ctx context.Context, s setting) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		b, err := probe(ctx, s)
		if err == nil {
			i.behaves = b
			return b.fault()
		}
		if ctx.Err() != nil || time.Now().After(deadline) || i.process.ended() {
			return fmt.Errorf("does not answer: %w", err)
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

func (i *instance) stop() {
	if i != nil {
		i.process.stop()
	}
}

// freePort finds a port below those that the kernel gives to clients: one of
// thousands of connections might take it before the proxy does. Each is given
// out once.
func (e *environment) freePort() (int, error) {
	for e.port = max(e.port, 20_000); e.port < 32_000; {
		e.port++
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", e.port))
		if err == nil {
			return e.port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// process is a child. Whoever starts it stops it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *tail
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{}), log: &tail{}}
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	cmd.Stderr = p.log
	// A group of its own, so that an interrupt in the terminal reaches us
	// alone and everything is stopped in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
		// The group is the process and the workers that it started.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

func (p *process) output() string { return p.log.String() }

// tail keeps the beginning of what a process prints, for when it fails.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if t.b.Len() < 4<<10 {
		t.b.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(t.b.String()) }

// role makes the command that runs this program under another role.
func role(name string, argument any) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	arg, err := json.Marshal(argument)
	return exec.Command(self, name, string(arg)), err
}

// startUpstream starts the upstream and returns its address.
func startUpstream(e *environment) (*process, string, error) {
	cmd, err := role("upstream", upstreamConfig{e.certs, filepath.Join(e.root, "npm/node_modules")})
	if err != nil {
		return nil, "", err
	}
	r, w := io.Pipe()
	cmd.Stdout = w
	p, err := startProcess(cmd)
	if err != nil {
		return nil, "", err
	}
	go func() {
		<-p.done
		_ = w.Close()
	}()
	address, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("upstream: %w\n%s", err, p.output())
	}
	return p, strings.TrimSpace(address), nil
}

// prepared is a peer that can be measured, and the ones that cannot, with why.
type missing struct {
	peer peer
	err  error
}

// preparePeers finds or builds those that were asked for. None is left out in
// silence.
func preparePeers(ctx context.Context, e *environment) (ready []peer, versions map[string]string, absent []missing) {
	versions = map[string]string{}
	for _, p := range allPeers() {
		if !slices.Contains(e.peers, p.name) {
			continue
		}
		progress("preparing %s", p.title)
		version, err := p.prepare(ctx, e)
		if err != nil {
			progress("%s is MISSING: %v", p.title, err)
			absent = append(absent, missing{p, err})
			continue
		}
		versions[p.name] = version
		ready = append(ready, p)
	}
	return ready, versions, absent
}

// output runs a program and returns what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil && text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return text, err
}

// fromDebian finds a program that apt installs, and installs it if it may.
func fromDebian(ctx context.Context, e *environment, program string) (string, error) {
	find := func() (string, error) {
		path, err := exec.LookPath(program)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + program)
		}
		return path, err
	}
	path, err := find()
	if err == nil {
		return path, nil
	}
	if !e.install {
		return "", fmt.Errorf("not installed; type: sudo apt-get install %s (or run with -install)", program)
	}
	sudo := ""
	if os.Getuid() != 0 {
		sudo = "sudo "
	}
	progress("installing %s", program)
	// It is wanted as a program, not as a service that runs.
	const quietly = "env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "
	if _, err := output(ctx, "", "sh", "-c", sudo+"apt-get update -qq && "+sudo+quietly+program); err != nil {
		return "", err
	}
	return find()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

var errNoHTTP2 = errors.New("does not offer HTTP/2 to clients")
