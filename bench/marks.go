package main

import "math"

// mark is what clerk-proxy has to reach: its metric, divided by another's, is
// at most so much.
type mark struct {
	what     string
	workload string
	metric   string
	peer     string
	atMost   float64
}

var marks = []mark{
	{"processor time a request", "json-h1", metricCPU, "nginx", 1.1},
	{"processor time a request", "json-h1", metricCPU, "express", 1.0 / 20},
	{"processor time a request", "json-h1", metricCPU, "caddy", 1.0 / 3},
	{"processor time a request", "json-h2", metricCPU, "nginx", 1.5},
	{"processor time a request", "json-h2", metricCPU, "caddy", 0.4},
	{"processor time a request", "clerkjs", metricCPU, "nginx", 1.2},
	{"processor time a request", "upload", metricCPU, "nginx", 1.2},
	{"processor time a request", "download", metricCPU, "nginx", 1.2},
	{"p99 at a fixed rate", "json-h1", metricP99, "caddy", 1},
	{"p99 at a fixed rate", "json-h1", metricP99, "nginx", 1.5},
	{"p99 at a fixed rate", "json-h2", metricP99, "caddy", 1},
	{"p99 at a fixed rate", "json-h2", metricP99, "nginx", 1.5},
	{"resident memory", workloadIdle, metricMemory, "caddy", 0.5},
	{"p99", workloadBurst, metricP99, "nginx", 0.5},
	{"time until ready", workloadBrowser, metricReady, wayDirect, 0.8},
}

// ratio is that of the medians of one peer and another; NaN if either was not
// measured.
func (m *measurements) ratio(workload, metric, peer, other string) float64 {
	of, to := m.spread(workload, peer, metric).Median, m.spread(workload, other, metric).Median
	if to == 0 {
		return math.NaN()
	}
	return of / to
}

func (m *measurements) reached(k mark) float64 {
	ours := "clerkproxy"
	if k.workload == workloadBrowser {
		ours = wayProxied
	}
	return m.ratio(k.workload, k.metric, ours, k.peer)
}
