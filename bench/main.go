// Command bench measures clerk-proxy and its peers side by side.
//
// One run starts one upstream and every peer, and measures them interleaved, in
// several rounds, so that whatever else the machine does meanwhile befalls them
// all. Only ratios within a run mean anything. From the root of the repository:
//
//	go run ./bench             # all there is; writes bench/RESULTS.md and bench/results.svg
//	go run ./bench -quick      # under three minutes; prints, and writes no file
//	go run ./bench -peers nginx,clerkproxy -workloads json-h1
//
// The upstream and the load generator are processes of their own, this same
// program under another role, so that only a proxy's own processor time is
// counted as its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	roles := map[string]func(context.Context, string) error{
		"upstream":     runUpstream,
		"load":         runLoad,
		"reverseproxy": runReverseProxy,
	}
	var err error
	if len(os.Args) == 3 && roles[os.Args[1]] != nil {
		err = roles[os.Args[1]](ctx, os.Args[2])
	} else {
		err = run(ctx, os.Args[1:])
	}
	if err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what a run is asked for.
type options struct {
	quick     bool
	rounds    int
	measure   time.Duration // of each measurement
	warmup    time.Duration // before each, not counted
	idle      time.Duration // before a burst
	clients   int           // that are idle
	settle    time.Duration // before the memory of idle clients is read
	starts    int           // of Chromium in each round, each way
	cores     int
	peers     []string
	workloads []string
	out       string
	binary    string
	install   bool
	profile   string // file; empty: none
}

func parseOptions(args []string) (options, error) {
	var o options
	var peers, workloads string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.quick, "quick", false, "one short round, printed only; numbers are rough")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds")
	flags.DurationVar(&o.measure, "measure", 4*time.Second, "length of each measurement")
	flags.DurationVar(&o.idle, "idle", 5*time.Minute, "how long the proxies are left alone before a burst")
	flags.IntVar(&o.clients, "clients", 10_000, "idle clients")
	flags.IntVar(&o.cores, "cores", defaultCores(), "processor cores, workers or threads that each peer may use")
	flags.StringVar(&peers, "peers", "all", "comma-separated: "+strings.Join(names(allPeers()), ", "))
	flags.StringVar(&workloads, "workloads", "all", "comma-separated: "+strings.Join(names(allWorkloads()), ", "))
	flags.StringVar(&o.out, "out", "bench", "directory for RESULTS.md and results.svg; empty: none")
	flags.StringVar(&o.binary, "clerk-proxy", "", "clerk-proxy binary to measure, instead of building this tree's")
	flags.StringVar(&o.profile, "profile", "", "profile clerk-proxy under its workloads and write the sum to this file, instead of comparing it; -measure, -workloads and -clerk-proxy count")
	flags.BoolVar(&o.install, "install", false, "install what is missing of nginx and HAProxy with apt-get")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	o.warmup, o.settle, o.starts = time.Second, 3*time.Second, 5
	if o.quick {
		o.warmup, o.settle, o.starts = 300*time.Millisecond, time.Second, 2
		quick := map[string]func(){
			"rounds":  func() { o.rounds = 1 },
			"measure": func() { o.measure = 1200 * time.Millisecond },
			// Longer than any peer keeps an unused connection.
			"idle": func() { o.idle = 95 * time.Second },
			"out":  func() { o.out = "" },
		}
		for name, set := range quick {
			if !given[name] {
				set()
			}
		}
	}
	if o.profile != "" {
		o.rounds, o.out, peers = 1, "", "clerkproxy"
		if workloads == "all" {
			workloads = "json-h1,json-h2,clerkjs,upload,download"
		}
	}
	var err error
	if o.peers, err = choose("peer", peers, names(allPeers())); err != nil {
		return o, err
	}
	if o.workloads, err = choose("workload", workloads, names(allWorkloads())); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.cores < 1 || o.clients < 1 || o.measure <= 0 {
		return o, fmt.Errorf("-rounds, -cores, -clients and -measure must be positive")
	}
	return o, nil
}

// choose returns the names asked for, in the order of all.
func choose(kind, list string, all []string) ([]string, error) {
	if list == "all" {
		return all, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var chosen []string
	for _, name := range all {
		if wanted[name] {
			chosen = append(chosen, name)
			delete(wanted, name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("no %s %q; there are %s", kind, name, strings.Join(all, ", "))
	}
	return chosen, nil
}
