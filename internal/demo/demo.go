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
	"time"

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
	// Satellite runs a second domain beside the primary one, on the next port,
	// or on any when Listen has port 0.
	Satellite bool
	// NPMDir is the directory whose node_modules hold Clerk's packages.
	// Default: npm.
	NPMDir string
	// Out receives what the demo has to say. Required.
	Out io.Writer
}

// Run runs the demo until ctx is done. Its error is for people to read, and is
// [ErrNoPackages] when there is nothing to show.
func Run(ctx context.Context, c Config) error {
	listen := cmp.Or(c.Listen, server.DefaultListen)
	if err := checkListen(listen); err != nil {
		return err
	}
	npmDir := cmp.Or(c.NPMDir, "npm")
	if err := checkPackages(npmDir); err != nil {
		return err
	}
	out := &terminal{out: c.Out}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))

	sites, err := sitesAt(listen, c.Satellite)
	if err != nil {
		return err
	}
	clerk, err := emulator.Start(emulatorFor(sites, npmDir, log))
	if err != nil {
		return fmt.Errorf("start the emulated Clerk: %w", err)
	}
	defer clerk.Close()

	requests := newFeed()
	defer context.AfterFunc(ctx, requests.close)()

	addresses, listening := make([]string, len(sites)), make(chan struct{}, len(sites))
	var servers []*server.Server
	for i, s := range sites {
		config := s.server(clerk, requests, log)
		config.OnListen = func(addr net.Addr, _ string) {
			addresses[i] = cmp.Or(s.address, address(addr))
			listening <- struct{}{}
		}
		config.OnAccess = func(a server.Access) {
			if r, ok := throughProxy(a); ok {
				r.Site = s.name
				requests.publish(r)
				out.request(a.Start, r)
			}
		}
		srv, err := server.New(config)
		if err != nil {
			return err
		}
		servers = append(servers, srv)
	}
	if err := serve(ctx, servers, listening, func() { out.welcome(addresses) }); err != nil {
		return err
	}
	out.goodbye()
	return nil
}

// serve runs the servers until ctx is done, or one of them ends. It calls ready
// when all of them listen.
func serve(ctx context.Context, servers []*server.Server, listening <-chan struct{}, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(servers))
	for _, srv := range servers {
		go func() { ended <- srv.Run(ctx) }() // ends when ctx is done
	}
	var errs []error
	for waiting := len(servers); len(errs) < len(servers); {
		select {
		case <-listening:
			if waiting--; waiting == 0 {
				ready()
			}
		case err := <-ended:
			stop()
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// checkListen refuses an address of this machine's that localhost does not lead
// to: no browser could use the demo there.
func checkListen(listen string) error {
	host, _, err := net.SplitHostPort(listen)
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
