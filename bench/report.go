package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machine is where a run was made.
type machine struct {
	cpu, memory, kernel, system string
	cores                       int
}

func describeMachine(ctx context.Context) machine {
	m := machine{cpu: "unknown processor", memory: "unknown memory", system: "Linux", cores: runtime.NumCPU()}
	if s, ok := lineValue("/proc/cpuinfo", "model name", ":"); ok {
		m.cpu = s
	}
	if s, ok := lineValue("/proc/meminfo", "MemTotal", ":"); ok {
		var kib int64
		if _, err := fmt.Sscanf(s, "%d kB", &kib); err == nil {
			m.memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
		}
	}
	if s, ok := lineValue("/etc/os-release", "PRETTY_NAME", "="); ok {
		m.system = strings.Trim(s, `"`)
	}
	var name syscall.Utsname
	if err := syscall.Uname(&name); err == nil {
		// The version's first numbers: what follows names a build, not a kernel.
		var release []byte
		for _, c := range name.Release {
			if c == 0 || c == '-' || c == '+' {
				break
			}
			release = append(release, byte(c))
		}
		m.kernel = string(release)
	}
	return m
}

// lineValue finds "name: value" in a file.
func lineValue(file, name, separator string) (string, bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(content)) {
		key, value, ok := strings.Cut(line, separator)
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// report is what is written about a run.
type report struct {
	*bench
	versions map[string]string
	absent   []missing
	machine  machine
	begun    time.Time
	took     time.Duration
}

func (r *report) write() error {
	text := r.markdown()
	raw, err := json.MarshalIndent(r.found.values, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.cache, "results.json"), raw, 0o644); err != nil {
		return err
	}
	if r.out == "" {
		_, err := os.Stdout.Write(text)
		return err
	}
	for name, content := range map[string][]byte{"RESULTS.md": text, "results.svg": r.svg()} {
		if err := os.WriteFile(filepath.Join(r.root, r.out, name), content, 0o644); err != nil {
			return err
		}
	}
	progress("wrote %s", filepath.Join(r.out, "RESULTS.md"))
	return nil
}

func (r *report) markdown() []byte {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# clerk-proxy and its peers, side by side\n")
	p("Written by `make bench` on %s: one run of %s, %d %s, every proxy measured in turn in each, after %s of warm-up for %s at a time. "+
		"Medians of the rounds, with the smallest and the largest in brackets; ratios are those of medians. **Only the ratios mean anything elsewhere.**\n",
		r.begun.UTC().Format("2 January 2006"), r.took.Round(time.Second), r.rounds, plural(r.rounds, "round"), r.warmup, r.options.measure)
	if r.out != "" {
		p("![Ratios to tuned nginx](results.svg)\n")
	}
	r.marks(p)
	for _, w := range r.workloads {
		p("## %s\n", w.title)
		about := w.about
		switch w.name {
		case workloadIdle:
			about = fmt.Sprintf("%d clients. %s", r.clients, about)
		case workloadBurst:
			about += fmt.Sprintf(" The quiet time was %s, by the clock, for every proxy.", r.idle)
		}
		p("%s\n", about)
		r.table(p, w)
		p("")
	}
	r.circumstances(p)
	return b.Bytes()
}

func plural(n int, s string) string {
	if n == 1 {
		return s
	}
	return s + "s"
}

func (r *report) marks(p func(string, ...any)) {
	p("## Marks\n")
	p("| workload | clerk-proxy's | divided by that of | at most | reached | |")
	p("| --- | --- | --- | ---: | ---: | --- |")
	for _, k := range marks {
		reached := r.found.reached(k)
		verdict := "yes"
		switch {
		case math.IsNaN(reached):
			verdict = "not measured"
		case reached > k.atMost:
			verdict = "**no**"
		}
		p("| %s | %s | %s | %s | %s | %s |", r.workloadTitle(k.workload), k.what, r.title(k.peer), number(k.atMost), number(reached), verdict)
	}
	p("")
}

func (r *report) workloadTitle(name string) string {
	for _, w := range allWorkloads() {
		if w.name == name {
			return w.title
		}
	}
	return name
}

func (r *report) title(name string) string {
	for _, each := range allPeers() {
		if each.name == name {
			return each.title
		}
	}
	return name
}

// column is one of a table: a metric in a unit.
type column struct {
	title, metric string
	unit          float64
}

func columns(w workload) []column {
	switch w.name {
	case workloadIdle:
		return []column{{"MiB", metricMemory, 1 << 20}, {"KiB a client", metricPerClient, 1 << 10}}
	case workloadBurst:
		return []column{{"p99, ms", metricP99, 1e3}, {"p50, ms", metricP50, 1e3}}
	case workloadBrowser:
		return []column{{"ready after, ms", metricReady, 1}}
	}
	cpu := column{"CPU, µs a request", metricCPU, 1}
	if w.size > 0 || w.saturation.Body > 0 {
		cpu = column{"CPU, ms a request", metricCPU, 1e3}
	}
	c := []column{cpu, {"requests/s at saturation", metricRPS, 1}}
	if w.rate.Connections > 0 {
		c = append(c,
			column{fmt.Sprintf("CPU, µs at %.0f/s", w.rate.Rate), metricCPUAtRate, 1},
			column{"p50, µs", metricP50, 1},
			column{"p99, µs", metricP99, 1})
	}
	return append(c, column{"MiB", metricMemory, 1 << 20})
}

func (r *report) table(p func(string, ...any), w workload) {
	columns := columns(w)
	reference := "nginx"
	rows := names(r.shownPeers())
	if w.name == workloadBrowser {
		reference, rows = wayDirect, browserWays
	}
	head, rule := "| | ratio to "+r.title(reference)+" |", "| --- | ---: |"
	for _, c := range columns {
		head += " " + c.title + " |"
		rule += " ---: |"
	}
	p("%s", head)
	p("%s", rule)
	for _, row := range rows {
		if len(r.found.values[w.name][row][w.main]) == 0 {
			p("| %s | not measured%s", r.title(row), strings.Repeat(" |", len(columns)+1))
			continue
		}
		line := fmt.Sprintf("| %s | **%s** |", r.title(row), number(r.found.ratio(w.name, w.main, row, reference)))
		for _, c := range columns {
			s := r.found.spread(w.name, row, c.metric)
			line += fmt.Sprintf(" %s (%s–%s) |", number(s.Median/c.unit), number(s.Min/c.unit), number(s.Max/c.unit))
		}
		p("%s", line)
	}
}

// shownPeers are those that were asked for, those that are missing too.
func (r *report) shownPeers() []peer {
	var shown []peer
	for _, each := range allPeers() {
		for _, name := range r.options.peers {
			if each.name == name {
				shown = append(shown, each)
			}
		}
	}
	return shown
}

func (r *report) circumstances(p func(string, ...any)) {
	p("## Circumstances\n")
	p("%s, %d %s, %s, Linux %s, %s. Each proxy could use %d %s, which it shared with the load generator and the upstream: "+
		"at saturation they all compete, so requests a second say less than processor time.\n",
		r.machine.cpu, r.machine.cores, plural(r.machine.cores, "core"), r.machine.memory, r.machine.kernel, r.machine.system, r.cores, plural(r.cores, "core"))
	p("| proxy | version | to the upstream | verifies its certificate | client's address | compressed assets | both cookies | streams | configured |")
	p("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, each := range r.shownPeers() {
		i := r.near[key(each, false)]
		if i == nil {
			continue
		}
		p("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", each.title, strings.ReplaceAll(r.versions[each.name], "\n", " "), each.toUpstream,
			yes(each.verifies), yes(i.behaves.address()), yes(i.behaves.compressed), yes(i.behaves.cookies == 2), yes(i.behaves.streams), each.note)
	}
	p("")
	if len(r.absent) > 0 || len(r.found.troubles) > 0 {
		p("What went wrong, or is missing:\n")
		for _, m := range r.absent {
			p("- %s: %v", m.peer.title, strings.ReplaceAll(m.err.Error(), "\n", " "))
		}
		for _, t := range r.found.troubles {
			p("- %s", strings.ReplaceAll(t, "\n", " "))
		}
		p("")
	}
	p("%s", strings.TrimSpace(fairness))
	p("\n## Again\n")
	p("```sh\nmake bench                    # this file; Debian with apt, Go, Node.js and npm; about %d minutes\n"+
		"go run ./bench -quick         # under three minutes, rough, prints\n"+
		"go run ./bench -help          # peers, workloads, rounds, times\n```", max(int(r.took.Round(time.Minute).Minutes()), 1))
}

const fairness = `
How it was measured:

- Processor time is user and system time of the proxy's own processes, from /proc, between two moments under load. Load generator and upstream are processes of their own. TLS to the upstream costs every proxy the same cipher.
- The upstream is one process, HTTP/1.1 by hand and HTTP/2 by net/http over TLS 1.3, its answers made in advance. Every proxy may choose what it speaks.
- Latency at a fixed rate counts from when a request was due, not from when it could be sent. The load generator's own wake-up is in it, for every proxy alike.
- Access logs are off everywhere. Every proxy sets the headers that Clerk asks for; what the upstream receives is looked at before anything is measured. The client's address in X-Forwarded-For is the exception: see the table.
- Where a proxy can be told how long to keep an unused connection to the upstream, it is 60 seconds, nginx's default. Nobody was restarted or emptied before a burst: they were left alone by the clock.
- Distances are relays on loopback: connecting takes a round trip, each connection begins with a window of ten segments that grows as TCP's slow start does, nothing is lost. Looking up names takes no time, which flatters the direct way.
- Memory is the proportional set size of all processes of a proxy.
`

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// number writes three significant digits, and no more than is known.
func number(f float64) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "–"
	case abs >= 100:
		return fmt.Sprintf("%.0f", f)
	case abs >= 10:
		return fmt.Sprintf("%.1f", f)
	case abs >= 1 || abs == 0:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}
