package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// measurements are what a run found: the values of all rounds by workload,
// peer and metric.
type measurements struct {
	values   map[string]map[string]map[string][]float64
	troubles []string
}

func (m *measurements) add(workload, peer, metric string, value float64) {
	if m.values == nil {
		m.values = map[string]map[string]map[string][]float64{}
	}
	if m.values[workload] == nil {
		m.values[workload] = map[string]map[string][]float64{}
	}
	if m.values[workload][peer] == nil {
		m.values[workload][peer] = map[string][]float64{}
	}
	m.values[workload][peer][metric] = append(m.values[workload][peer][metric], value)
}

func (m *measurements) trouble(format string, args ...any) {
	t := fmt.Sprintf(format, args...)
	if !slices.Contains(m.troubles, t) {
		m.troubles = append(m.troubles, t)
	}
	progress("TROUBLE: %s", t)
}

func (m *measurements) spread(workload, peer, metric string) spread {
	return spreadOf(m.values[workload][peer][metric])
}

var started = time.Now()

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, args...))
}

// bench is a run.
type bench struct {
	*environment
	peers     []peer
	workloads []workload
	upstream  string
	far       *link // to the upstream
	near      map[string]*instance
	bursts    map[string]*instance
	// quietSince is when a proxy for bursts had its last request.
	quietSince map[string]time.Time
	browser    *browser
	found      measurements
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	e, cleanup, err := newEnvironment(o)
	if err != nil {
		return err
	}
	defer cleanup()
	peers, versions, absent := preparePeers(ctx, e)
	if len(peers) == 0 {
		return fmt.Errorf("none of the peers can be measured")
	}
	upstream, address, err := startUpstream(e)
	if err != nil {
		return err
	}
	defer upstream.stop()

	b := &bench{
		environment: e, upstream: address, peers: peers,
		near: map[string]*instance{}, bursts: map[string]*instance{}, quietSince: map[string]time.Time{},
	}
	defer b.stop()
	b.chooseWorkloads()
	if b.far, err = newLink(ctx, address, burstRTT); err != nil {
		return err
	}
	b.startAll(ctx)
	begun := time.Now()
	for round := range o.rounds {
		progress("round %d of %d", round+1, o.rounds)
		b.round(ctx, round)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if o.profile != "" {
		return b.writeProfile(ctx)
	}
	r := report{
		bench: b, versions: versions, absent: absent, machine: describeMachine(ctx),
		begun: begun, took: time.Since(begun),
	}
	return r.write()
}

func newEnvironment(o options) (e *environment, cleanup func(), err error) {
	root, err := repositoryRoot()
	if err != nil {
		return nil, nil, err
	}
	e = &environment{options: o, root: root, cache: filepath.Join(root, "bench", ".cache")}
	if err := os.MkdirAll(e.cache, 0o755); err != nil {
		return nil, nil, err
	}
	if e.dir, err = os.MkdirTemp("", "clerkproxy-bench-"); err != nil {
		return nil, nil, err
	}
	cleanup = func() { _ = os.RemoveAll(e.dir) }
	if err = os.Chmod(e.dir, 0o755); err == nil {
		e.certs, err = newCertificates(e.dir)
	}
	if err != nil {
		cleanup()
	}
	return e, cleanup, err
}

func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "clerk-proxy")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("run it in a checkout of clerkproxy")
		}
		dir = filepath.Dir(dir)
	}
}

func (b *bench) chooseWorkloads() {
	_, err := os.Stat(filepath.Join(b.root, "npm/node_modules", clerkJSFile))
	for _, w := range allWorkloads() {
		switch {
		case !slices.Contains(b.options.workloads, w.name):
		case w.needsNPM && err != nil:
			b.found.trouble("%s: left out, Clerk's npm packages are not installed; type: make npm", w.name)
		default:
			b.workloads = append(b.workloads, w)
		}
	}
}

func (b *bench) asked(f func(workload) bool) bool { return slices.ContainsFunc(b.workloads, f) }

// startAll starts every proxy that more than one round needs. They run side by
// side, and cost nothing while it is not their turn.
func (b *bench) startAll(ctx context.Context) {
	b.peers = slices.DeleteFunc(b.peers, func(p peer) bool {
		i, err := p.start(ctx, b.environment, false, b.upstream)
		if err != nil {
			b.found.trouble("%v", err)
			return true
		}
		b.near[key(p, false)] = i
		return false
	})
	for _, p := range b.peers {
		if b.asked(func(w workload) bool { return w.http2 }) && !p.noHTTP2 {
			i, err := p.start(ctx, b.environment, true, b.upstream)
			if err != nil {
				b.found.trouble("HTTP/2: %v", err)
			} else {
				b.near[key(p, true)] = i
			}
		}
		if b.asked(func(w workload) bool { return w.name == workloadBurst }) {
			i, err := p.start(ctx, b.environment, false, b.far.address())
			if err != nil {
				b.found.trouble("burst: %v", err)
				continue
			}
			b.bursts[p.name] = i
			// So that every proxy has had visitors before the quiet time.
			if _, err := b.load(ctx, i, b.burstJob()); err != nil {
				b.found.trouble("burst: %s: %v", p.name, err)
			}
			b.quietSince[p.name] = time.Now()
		}
	}
	if b.asked(func(w workload) bool { return w.name == workloadBrowser }) {
		if !slices.ContainsFunc(b.peers, func(p peer) bool { return p.name == "clerkproxy" }) {
			b.found.trouble("browser: left out, as clerk-proxy is")
			return
		}
		var err error
		if b.browser, err = startBrowser(ctx, b.environment); err != nil {
			b.found.trouble("browser: %v", err)
		}
	}
}

func key(p peer, http2 bool) string { return fmt.Sprint(p.name, http2) }

func (b *bench) stop() {
	for _, i := range b.near {
		i.stop()
	}
	for _, i := range b.bursts {
		i.stop()
	}
	if b.browser != nil {
		b.browser.stop()
	}
}

// round measures everything once. Each round begins with another peer.
func (b *bench) round(ctx context.Context, round int) {
	peers := slices.Concat(b.peers[round%len(b.peers):], b.peers[:round%len(b.peers)])
	for _, w := range b.workloads {
		if w.name == workloadBrowser {
			b.measureBrowser(ctx)
			continue
		}
		for _, p := range peers {
			if ctx.Err() != nil {
				return
			}
			var err error
			switch w.name {
			case workloadIdle:
				err = b.measureIdle(ctx, p)
			case workloadBurst:
				err = b.measureBurst(ctx, p)
			default:
				err = b.measure(ctx, w, p)
			}
			if err != nil && ctx.Err() == nil {
				b.found.trouble("%s: %s: %v", w.name, p.name, err)
			}
		}
	}
}

func (b *bench) measure(ctx context.Context, w workload, p peer) error {
	i := b.near[key(p, w.http2)]
	if i == nil {
		return nil // said before
	}
	saturation := w.saturation
	saturation.Kind, saturation.HTTP2, saturation.Warmup, saturation.Duration = kindSaturation, w.http2, b.warmup, b.options.measure
	profiled := b.profileDuring(ctx, i, w.name, b.warmup)
	r, err := b.load(ctx, i, saturation)
	if err := cmp.Or(err, <-profiled); err != nil {
		return err
	}
	add := func(metric string, value float64) { b.found.add(w.name, p.name, metric, value) }
	cpu := r.perRequest(w.size)
	add(metricCPU, cpu)
	rps := float64(r.Requests) / r.Seconds
	if w.size > 0 {
		rps = float64(r.Bytes) / float64(w.size) / r.Seconds
	}
	add(metricRPS, rps)
	add(metricMemory, float64(r.Memory))
	line := fmt.Sprintf("%-10s %-13s %9.1f µs a request  %9.1f requests/s  %5.1f MiB", w.name, p.name, cpu, rps, float64(r.Memory)/(1<<20))

	if w.rate.Connections > 0 && b.profile == "" {
		rate := w.rate
		rate.Kind, rate.HTTP2, rate.Warmup, rate.Duration = kindRate, w.http2, b.warmup/2, b.options.measure
		if r, err = b.load(ctx, i, rate); err != nil {
			return err
		}
		add(metricCPUAtRate, r.perRequest(0))
		add(metricP50, r.P50)
		add(metricP99, r.P99)
		line += fmt.Sprintf("  at %.0f/s: %.1f µs, p50 %.0f µs, p99 %.0f µs", rate.Rate, r.perRequest(0), r.P50, r.P99)
	}
	progress("%s", line)
	return nil
}

func (b *bench) measureIdle(ctx context.Context, p peer) error {
	// A new one: memory tells of everything that went before.
	i, err := p.start(ctx, b.environment, false, b.upstream)
	if err != nil {
		return err
	}
	defer i.stop()
	r, err := b.load(ctx, i, job{
		Kind: kindIdle, Method: "GET", Path: proxyPath + pathJSON, Connections: b.clients, Duration: b.settle,
	})
	if err != nil {
		return err
	}
	b.found.add(workloadIdle, p.name, metricMemory, float64(r.Memory))
	b.found.add(workloadIdle, p.name, metricPerClient, float64(r.Memory-r.MemoryBefore)/float64(b.clients))
	progress("%-10s %-13s %9.1f MiB with %d clients, %.1f MiB with none", workloadIdle, p.name, float64(r.Memory)/(1<<20), b.clients, float64(r.MemoryBefore)/(1<<20))
	return nil
}

func (b *bench) burstJob() job {
	return job{Kind: kindBurst, Method: "GET", Path: proxyPath + pathJSON, Connections: burstClients, Rate: burstClients, Duration: time.Second}
}

func (b *bench) measureBurst(ctx context.Context, p peer) error {
	i := b.bursts[p.name]
	if i == nil {
		return nil // said before
	}
	if wait := b.idle - time.Since(b.quietSince[p.name]); wait > 0 {
		progress("%-10s %-13s waiting %.0f s for its quiet time to end", workloadBurst, p.name, wait.Seconds())
		sleep(ctx, wait)
	}
	r, err := b.load(ctx, i, b.burstJob())
	b.quietSince[p.name] = time.Now()
	if err != nil {
		return err
	}
	b.found.add(workloadBurst, p.name, metricP50, r.P50)
	b.found.add(workloadBurst, p.name, metricP99, r.P99)
	progress("%-10s %-13s p50 %.1f ms, p99 %.1f ms", workloadBurst, p.name, r.P50/1e3, r.P99/1e3)
	return nil
}

func (b *bench) measureBrowser(ctx context.Context) {
	if b.browser == nil {
		return
	}
	for range b.starts {
		for _, way := range browserWays {
			ms, err := b.browser.open(ctx, way)
			if err != nil {
				if ctx.Err() == nil {
					b.found.trouble("%s: %s: %v", workloadBrowser, way, err)
				}
				return
			}
			b.found.add(workloadBrowser, way, metricReady, ms)
			progress("%-10s %-13s ready after %.0f ms", workloadBrowser, way, ms)
		}
	}
}

// load runs the load generator against a proxy. It never runs for ever.
func (b *bench) load(ctx context.Context, i *instance, j job) (r result, err error) {
	j.Address, j.CA, j.PID = i.address, b.certs.CA, i.process.cmd.Process.Pid
	cmd, err := role("load", j)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, j.Warmup+j.Duration+2*time.Minute)
	defer cancel()
	var out tail
	cmd.Stdout = &out
	process, err := startProcess(cmd)
	if err != nil {
		return r, err
	}
	select {
	case <-process.done:
	case <-ctx.Done():
		process.stop()
		return r, context.Cause(ctx)
	}
	if i.process.ended() {
		return r, fmt.Errorf("the proxy ended: %s", i.process.output())
	}
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		return r, fmt.Errorf("load: %w: %s", err, process.output())
	}
	if t := r.trouble(); t != "" {
		b.found.trouble("%s %s: %s", j.Kind, i.peer.name, t)
	}
	if r.Requests == 0 && r.Bytes == 0 {
		return r, fmt.Errorf("nothing was answered")
	}
	return r, nil
}
