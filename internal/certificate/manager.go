// Package certificate holds the TLS certificates of the standalone server: those
// in files, read again when they change, and those that an authority issues by
// ACME, with certmagic.
//
// A client gets the first certificate there is, in this order:
//
//  1. one in a file, with the very name that it asks for
//  2. one in a file, with a wildcard for it
//  3. the one that was issued for it
//  4. the first in a file, whatever its name
//
// The fourth is for those who name no host or an unknown one: a load balancer
// that looks whether the server lives knows no name. Where there is no file they
// are refused, with the alert unrecognized_name (RFC 6066 §3).
package certificate

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// pollInterval is how often the files are looked at. Reading is what works on
// every file system, and for the links that Kubernetes changes.
const pollInterval = 10 * time.Second

// Manager holds certificates. Make one with [New].
type Manager struct {
	log  *slog.Logger
	poll time.Duration

	changing  sync.Mutex // one change of state at a time
	state     atomic.Pointer[state]
	changed   chan struct{}             // holds a token when Run has not seen the state's hosts
	authority atomic.Pointer[authority] // nil before Run
}

// A state is what a Config has come to. It does not change.
type state struct {
	files files
	acme  *settings // nil: none
	hosts []string  // those that ACME is for: no file has a certificate with their name

	// earlier are certificates that were issued, for as long as the authority
	// has not got them.
	earlier map[string]*tls.Certificate
}

// New checks the configuration and loads the files, and what was issued to be
// kept. Its error joins a [*clerkproxy.ConfigError] for every problem there is.
// New does not use the network; [Manager.Run] does. A nil log is
// [slog.Default].
func New(c Config, log *slog.Logger) (*Manager, error) {
	m := &Manager{
		log:     cmp.Or(log, slog.Default()),
		poll:    pollInterval,
		changed: make(chan struct{}, 1),
	}
	m.state.Store(new(state))
	if err := m.Reload(c); err != nil {
		return nil, err
	}
	return m, nil
}

// Reload puts another configuration in force, all of it or, if it returns an
// error, none. Connections stay, and those to come can resume their sessions.
// What is kept is read anew, and what has never been issued is tried at once.
func (m *Manager) Reload(c Config) error {
	use, err := m.Prepare(c)
	if err == nil {
		use()
	}
	return err
}

// Prepare is Reload in two steps: nothing changes before the function that it
// returns is called, which cannot fail.
func (m *Manager) Prepare(c Config) (use func(), err error) {
	files, acme, warnings, err := c.check(true)
	if err != nil {
		return nil, err
	}
	return func() {
		for _, warning := range warnings {
			m.log.Warn(warning)
		}
		m.changing.Lock()
		defer m.changing.Unlock()
		m.put(files, acme)
		m.tellRun()
	}, nil
}

// Has reports whether there is a certificate with the name of a host, or is to
// be.
func (m *Manager) Has(host string) bool {
	s := m.state.Load()
	return s.files.cover(host) || slices.Contains(s.hosts, strings.ToLower(host))
}

// refresh puts changed files in force.
func (m *Manager) refresh() {
	m.changing.Lock()
	defer m.changing.Unlock()
	old := m.state.Load()
	files, changed := old.files.refresh(m.log)
	if !changed {
		return
	}
	m.put(files, old.acme)
	if !slices.Equal(old.hosts, m.state.Load().hosts) {
		m.tellRun()
	}
}

// put puts a state in force.
func (m *Manager) put(files files, acme *settings) {
	s := &state{files: files, acme: acme, earlier: make(map[string]*tls.Certificate)}
	if acme != nil {
		for _, name := range acme.names {
			if files.cover(name) {
				continue
			}
			s.hosts = append(s.hosts, name)
			if s.earlier[name] = m.issued(name); s.earlier[name] == nil {
				s.earlier[name] = acme.stored(name)
			}
		}
	}
	m.state.Store(s)
}

func (m *Manager) tellRun() {
	select {
	case m.changed <- struct{}{}:
	default: // it has not seen the last change yet
	}
}

// Run looks for changed files and for what others that share the storage have had
// issued, and obtains and renews certificates, until ctx is
// done. It returns once what it has started has ended, and is called once. The
// server must answer already: an authority asks it who it is.
func (m *Manager) Run(ctx context.Context) {
	var watching sync.WaitGroup
	watching.Go(func() { every(ctx, m.poll, m.refresh) })
	for ctx.Err() == nil {
		m.issue(ctx)
	}
	watching.Wait()
}

// every calls f at intervals, until ctx is done.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

// issue obtains and renews until there is a change, or ctx is done.
func (m *Manager) issue(ctx context.Context) {
	select {
	case <-m.changed: // what follows sees it
	default:
	}
	ctx, stop := context.WithCancel(ctx)
	var authorityRuns sync.WaitGroup
	if s := m.state.Load(); len(s.hosts) > 0 {
		a := newAuthority(s.acme, s.hosts, m.log)
		m.authority.Store(a)
		authorityRuns.Go(func() { a.run(ctx, m.poll) })
	}
	select {
	case <-ctx.Done():
	case <-m.changed:
	}
	stop()
	authorityRuns.Wait()
}
