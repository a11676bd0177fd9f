package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The kinds of load.
const (
	// kindSaturation: each connection sends its next request when the last is
	// answered. For processor time a request, and requests a second.
	kindSaturation = "saturation"
	// kindRate: requests are due at fixed times, whatever the answers do, and
	// their latency counts from then. For percentiles.
	kindRate = "rate"
	// kindIdle: connections that have made one request and stay. For memory.
	kindIdle = "idle"
	// kindBurst: each request by a client, and over a connection, of its own.
	kindBurst = "burst"
)

// job is the argument of the role load.
type job struct {
	Kind        string
	Address     string // of the proxy
	HTTP2       bool
	CA          string
	Method      string
	Path        string
	Body        int
	Connections int
	Rate        float64 // requests a second: kindRate, kindBurst
	Warmup      time.Duration
	Duration    time.Duration
	PID         int // of the proxy
}

func (j *job) timeout() time.Duration { return 30 * time.Second }

// result is what the role load prints.
type result struct {
	Requests int64
	Bytes    int64
	Errors   int64
	Error    string // the first
	Seconds  float64
	// CPU is the processor time of the proxy while it was measured, in
	// seconds.
	CPU float64
	// P50 and P99 are latencies in microseconds.
	P50, P99 float64
	// MemoryBefore and Memory are the proxy's, in bytes, before the first
	// connection and at the end.
	MemoryBefore, Memory int64
}

func runLoad(ctx context.Context, arg string) error {
	var j job
	if err := json.Unmarshal([]byte(arg), &j); err != nil {
		return err
	}
	debug.SetGCPercent(1000)
	l, err := newLoad(j)
	if err != nil {
		return err
	}
	kinds := map[string]func(context.Context) error{
		kindSaturation: l.saturate,
		kindRate:       l.atRate,
		kindIdle:       l.hold,
		kindBurst:      l.burst,
	}
	if err := kinds[j.Kind](ctx); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(l.result)
}

// load is the load generator.
type load struct {
	job    job
	dial   func() (client, error)
	pids   []int
	result result

	requests, bytes, errors atomic.Int64
	firstError              atomic.Pointer[string]
}

func newLoad(j job) (*load, error) {
	l := &load{job: j}
	if j.HTTP2 {
		config, err := certificates{CA: j.CA}.client()
		if err != nil {
			return nil, err
		}
		config.ServerName, config.NextProtos = appHost, []string{"h2"}
		config.MinVersion = tls.VersionTLS13
		request := http2Request(j.Path)
		l.dial = func() (client, error) { return dialHTTP2(&j, config, request) }
	} else {
		request := http1Request(&j)
		l.dial = func() (client, error) { return dialHTTP1(&j, request) }
	}
	var err error
	l.pids, err = processTree(j.PID)
	return l, err
}

func (l *load) failed(err error) {
	l.errors.Add(1)
	message := err.Error()
	l.firstError.CompareAndSwap(nil, &message)
}

// connection is a client that dials again when it must.
type connection struct {
	load   *load
	client client
}

// do makes a request and reports whether it was answered well.
func (c *connection) do() bool {
	if c.client == nil {
		var err error
		if c.client, err = c.load.dial(); err != nil {
			c.load.failed(err)
			// Refused connections would otherwise be all that is measured.
			time.Sleep(10 * time.Millisecond)
			return false
		}
	}
	err := c.client.do(&c.load.bytes)
	if err != nil {
		c.close()
	}
	if err != nil && !errors.Is(err, errClosing) {
		c.load.failed(err)
		return false
	}
	c.load.requests.Add(1)
	return true
}

func (c *connection) close() {
	if c.client != nil {
		c.client.close()
		c.client = nil
	}
}

// measured counts what happens between its call and the one of the function
// that it returns.
func (l *load) measured() (func() error, error) {
	before, err := processorTime(l.pids)
	if err != nil {
		return nil, err
	}
	start, requests, bytes, failures := time.Now(), l.requests.Load(), l.bytes.Load(), l.errors.Load()
	return func() error {
		after, err := processorTime(l.pids)
		if err != nil {
			return err
		}
		l.result.Seconds = time.Since(start).Seconds()
		l.result.CPU = (after - before).Seconds()
		l.result.Requests = l.requests.Load() - requests
		l.result.Bytes = l.bytes.Load() - bytes
		l.result.Errors = l.errors.Load() - failures
		if message := l.firstError.Load(); message != nil {
			l.result.Error = *message
		}
		l.result.Memory, err = residentMemory(l.pids)
		return err
	}, nil
}

func (l *load) saturate(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	for range l.job.Connections {
		workers.Go(func() {
			c := connection{load: l}
			for ctx.Err() == nil {
				c.do()
			}
			c.close()
		})
	}
	defer workers.Wait()
	defer stop()
	sleep(ctx, l.job.Warmup)
	end, err := l.measured()
	if err != nil {
		return err
	}
	sleep(ctx, l.job.Duration)
	return end()
}

// atRate is free of coordinated omission: when a request is due and every
// connection waits for an answer, the wait counts.
func (l *load) atRate(ctx context.Context) error {
	due := make(chan time.Time, 1<<20)
	latencies := make([][]float64, l.job.Connections)
	measuring := time.Now().Add(l.job.Warmup)
	var workers sync.WaitGroup
	for i := range l.job.Connections {
		workers.Go(func() {
			c := connection{load: l}
			defer c.close()
			for t := range due {
				if c.do() && !t.Before(measuring) {
					latencies[i] = append(latencies[i], float64(time.Since(t).Nanoseconds())/1e3)
				}
			}
		})
	}
	l.schedule(ctx, due, l.job.Warmup)
	end, err := l.measured()
	if err == nil {
		l.schedule(ctx, due, l.job.Duration)
		err = end()
	}
	close(due)
	workers.Wait()
	l.percentiles(slices.Concat(latencies...))
	return err
}

// schedule sends the times at which requests are due, each when it has come.
func (l *load) schedule(ctx context.Context, due chan<- time.Time, d time.Duration) {
	// The runtime's timers are up to a millisecond late, the kernel's are not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	for i := range int(d.Seconds() * l.job.Rate) {
		t := start.Add(time.Duration(float64(i) / l.job.Rate * float64(time.Second)))
		if wait := time.Until(t); wait > 0 {
			ts := syscall.NsecToTimespec(wait.Nanoseconds())
			_ = syscall.Nanosleep(&ts, nil)
		}
		if ctx.Err() != nil {
			return
		}
		due <- t
	}
}

func (l *load) percentiles(latencies []float64) {
	slices.Sort(latencies)
	l.result.P50, l.result.P99 = percentile(latencies, 50), percentile(latencies, 99)
}

func (l *load) hold(ctx context.Context) error {
	warm := connection{load: l}
	warm.do()
	warm.close()
	sleep(ctx, time.Second)
	var err error
	if l.result.MemoryBefore, err = residentMemory(l.pids); err != nil {
		return err
	}
	end, err := l.measured()
	if err != nil {
		return err
	}
	connections := make([]connection, l.job.Connections)
	next := make(chan int)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for i := range next {
				connections[i].load = l
				connections[i].do()
			}
		})
	}
	for i := range connections {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	sleep(ctx, l.job.Duration)
	if err := end(); err != nil {
		return err
	}
	// Whoever hung up on idle clients saved memory by it.
	for i := range connections {
		if c := connections[i].client; c == nil || closedByPeer(c) {
			l.result.Errors++
			if l.result.Error == "" {
				l.result.Error = "idle clients were disconnected"
			}
		}
		connections[i].close()
	}
	return nil
}

func closedByPeer(c client) bool {
	h, ok := c.(*http1Client)
	if !ok {
		return false
	}
	_ = h.conn.SetReadDeadline(time.Now().Add(time.Microsecond))
	_, err := h.r.Peek(1)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func (l *load) burst(ctx context.Context) error {
	var latencies []float64
	var mu sync.Mutex
	var workers sync.WaitGroup
	due := make(chan time.Time)
	end, err := l.measured()
	if err != nil {
		return err
	}
	go func() {
		l.schedule(ctx, due, l.job.Duration)
		close(due)
	}()
	for t := range due {
		workers.Go(func() {
			c := connection{load: l}
			defer c.close()
			if c.do() {
				mu.Lock()
				defer mu.Unlock()
				latencies = append(latencies, float64(time.Since(t).Nanoseconds())/1e3)
			}
		})
	}
	workers.Wait()
	l.percentiles(latencies)
	return end()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// perRequest is the processor time of a request in microseconds. Where an
// answer takes long, size is its length, and parts of answers count.
func (r result) perRequest(size int64) float64 {
	n := float64(r.Requests)
	if size > 0 {
		n = float64(r.Bytes) / float64(size)
	}
	return r.CPU * 1e6 / n
}

func (r result) trouble() string {
	if r.Errors == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d requests failed: %s", r.Errors, r.Errors+r.Requests, r.Error)
}
