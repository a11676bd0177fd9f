// Package demo is a newcomer's first look at the proxy: an emulated Clerk, the
// server that the serve command runs, and a small application, in one process.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/clerkproxy/clerkproxy"
	"github.com/clerkproxy/clerkproxy/emulator"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// The person who is there from the start.
const (
	userFirstName = "Ada"
	userLastName  = "Lovelace"
	userEmail     = "ada@example.com"
	userPassword  = "analytical-engine-1843"
)

// drainTimeout is short: whoever stops a demo does not want to wait, and the
// pages' streams end by themselves.
const drainTimeout = 3 * time.Second

// ErrNoPackages is why a demo without Clerk's npm packages does not start.
var ErrNoPackages = errors.New("there are no npm packages of Clerk's")

// Config configures a demo.
type Config struct {
	// Listen is the address to listen on. Default: [server.DefaultListen].
	Listen string
	// NPMDir is the directory whose node_modules hold Clerk's packages.
	// Default: npm.
	NPMDir string
	// Out receives what the demo has to say. Required.
	Out io.Writer
}

// Run runs the demo until ctx is done. Its error is for people to read, and is
// [ErrNoPackages] when there is nothing to show.
func Run(ctx context.Context, c Config) error {
	if err := checkListen(c.Listen); err != nil {
		return err
	}
	npmDir := cmp.Or(c.NPMDir, "npm")
	if err := checkPackages(npmDir); err != nil {
		return err
	}
	out := &terminal{out: c.Out}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))

	clerk, err := emulator.Start(emulator.Config{
		NPMDir: npmDir,
		Users:  []emulator.User{{FirstName: userFirstName, LastName: userLastName, Email: userEmail, Password: userPassword}},
		Logger: log,
	})
	if err != nil {
		return fmt.Errorf("start the emulated Clerk: %w", err)
	}
	defer clerk.Close()

	requests := newFeed()
	defer context.AfterFunc(ctx, requests.close)()

	srv, err := server.New(server.Config{
		Listen: c.Listen,
		Proxy: clerkproxy.Config{
			PublishableKey: clerk.PublishableKey,
			SecretKey:      clerk.SecretKey,
			FrontendAPIURL: clerk.FrontendAPI,
			RootCAs:        clerk.RootCAs(),
			ProxyURL:       clerkproxy.DefaultPath,
			Hosts:          loopbackHosts,
		},
		App: (&app{
			publishableKey: clerk.PublishableKey,
			registerProxy:  clerk.RegisterProxyURL,
			requests:       requests,
		}).handler(),
		DrainTimeout: drainTimeout,
		Logger:       log,
		OnListen:     out.welcome,
		OnAccess: func(a server.Access) {
			if r, ok := throughProxy(a); ok {
				requests.publish(r)
				out.request(a.Start, r)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := srv.Run(ctx); err != nil {
		return err
	}
	out.goodbye()
	return nil
}

// checkListen refuses an address of this machine's that localhost does not lead
// to: no browser could use the demo there.
func checkListen(listen string) error {
	host, _, err := net.SplitHostPort(cmp.Or(listen, server.DefaultListen))
	ip := net.ParseIP(host)
	if err == nil && ip != nil && !ip.IsLoopback() && !ip.IsUnspecified() {
		return fmt.Errorf("listen on %s: the demo works at localhost only, as browsers keep Clerk's cookies nowhere else without TLS; use %s", listen, server.DefaultListen)
	}
	return nil
}

// checkPackages finds out before anything starts what a page would otherwise
// find out in the form of a blank space.
func checkPackages(npmDir string) error {
	for _, name := range []string{"clerk-js", "ui"} {
		_, err := os.Stat(filepath.Join(npmDir, "node_modules", "@clerk", name, "package.json"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w in %s: in a checkout of clerkproxy, type `make npm`, then `make demo`", ErrNoPackages, filepath.Join(npmDir, "node_modules"))
		case err != nil:
			return fmt.Errorf("look for Clerk's npm packages: %w", err)
		}
	}
	return nil
}

// throughProxy is what the page is told of a request, if it was Clerk's.
func throughProxy(a server.Access) (request, bool) {
	if a.Target != server.TargetClerk {
		return request{}, false
	}
	below, _ := strings.CutPrefix(a.Path, clerkproxy.DefaultPath)
	kind, meaning := explain(a.Method, below)
	return request{
		Method:  a.Method,
		Path:    a.Path,
		Status:  a.Status,
		Millis:  float64(a.Duration.Microseconds()) / 1000,
		Kind:    kind,
		Meaning: meaning,
	}, true
}

// terminal is where the demo is watched from. Lines come from many requests at
// a time.
type terminal struct {
	mu  sync.Mutex
	out io.Writer
}

// Write is for the logger.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(p)
}

func (t *terminal) welcome(addr net.Addr) {
	fmt.Fprintf(t, `
  clerkproxy demo: real ClerkJS, an emulated Clerk, no account and no network

    Open      %s

    E-mail    %s
    Password  %s
    Code      %s (for sign-in by e-mail, and for sign-up; nothing is sent)

    Stop      Ctrl-C

  Through the proxy:
`, address(addr), userEmail, userPassword, emulator.Code)
}

func (t *terminal) request(at time.Time, r request) {
	fmt.Fprintf(t, "    %s  %-6s %d %8.1f ms  %s\n", at.Format(time.TimeOnly), r.Method, r.Status, r.Millis, r.Path)
}

func (t *terminal) goodbye() { fmt.Fprintln(t, "\n  Stopped; everybody who signed up is forgotten.") }

// address is what to open in a browser. It is localhost wherever the demo
// listens, as everybody trusts it: Clerk's cookies are Secure.
func address(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	switch {
	case !ok:
		return "http://" + addr.String()
	case tcp.Port == 80:
		return "http://localhost"
	default:
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
}
