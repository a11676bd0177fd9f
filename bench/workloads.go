package main

import (
	"net/http"
	"time"
)

// The metrics of a workload. CPU is in microseconds a request, latencies in
// microseconds, memory in bytes.
const (
	metricCPU       = "cpu"
	metricRPS       = "rps"
	metricCPUAtRate = "cpu-at-rate"
	metricP50       = "p50"
	metricP99       = "p99"
	metricMemory    = "memory"
	metricPerClient = "memory-per-client"
	metricReady     = "ready"
)

// workload is one way of using a proxy.
type workload struct {
	name, title string
	about       string
	http2       bool
	// saturation and rate are the jobs, each if it has connections.
	saturation, rate job
	// size is how long an answer is of which parts count, see perRequest.
	size int64
	// main is the metric whose ratio is shown first.
	main string
	// needsNPM tells that Clerk's packages are served.
	needsNPM bool
}

func (w workload) String() string { return w.name }

const (
	workloadIdle    = "idle"
	workloadBurst   = "burst"
	workloadBrowser = "browser"

	// The round trips of burst and browser.
	burstRTT       = 40 * time.Millisecond
	burstClients   = 200
	browserRTT     = 40 * time.Millisecond
	browserFAPIRTT = 20 * time.Millisecond
)

func allWorkloads() []workload {
	json := job{Method: http.MethodGet, Path: proxyPath + pathJSON, Connections: 32}
	jsonRate := json
	jsonRate.Connections, jsonRate.Rate = 64, 400
	js := job{Method: http.MethodGet, Path: proxyPath + pathClerkJS, Connections: 16}
	jsRate := js
	jsRate.Connections, jsRate.Rate = 64, 100
	return []workload{
		{
			name: "json-h1", title: "Small JSON, HTTP/1.1",
			about:      "GET /v1/client: 1.9 KB of JSON, 15 headers, 2 cookies; 32 clients that keep their connections; 400 requests a second where the rate is fixed.",
			saturation: json, rate: jsonRate, main: metricCPU,
		},
		{
			name: "json-h2", title: "Small JSON, HTTP/2 with TLS",
			about: "The same over TLS and HTTP/2 from the client, one request at a time on each of 32 connections, as different people's browsers.",
			http2: true, saturation: json, rate: jsonRate, main: metricCPU,
		},
		{
			name: "clerkjs", title: "ClerkJS",
			about:      "clerk.browser.js, 325 KB, or 84 KB with gzip where the proxy lets it travel compressed; immutable; 16 clients, 100 requests a second where the rate is fixed. Proxies with a cache use it.",
			saturation: js, rate: jsRate, main: metricCPU, needsNPM: true,
		},
		{
			name: "upload", title: "Upload of 1 MiB",
			about:      "POST of 1 MiB, 8 clients.",
			saturation: job{Method: http.MethodPost, Path: proxyPath + pathUpload, Body: 1 << 20, Connections: 8}, main: metricCPU,
		},
		{
			name: "download", title: "Download of 64 MiB",
			about:      "GET of 64 MiB, 2 clients.",
			saturation: job{Method: http.MethodGet, Path: proxyPath + pathDownload, Connections: 2}, size: downloadSize, main: metricCPU,
		},
		{
			name: workloadIdle, title: "Idle clients",
			about: "Clients that have asked for the JSON once and keep their connection: what the proxy's processes hold, shared pages counted once.",
			main:  metricMemory,
		},
		{
			name: workloadBurst, title: "A burst after a quiet time",
			about: "200 new clients in one second, each with one GET /v1/client, after a time without any request; 40 ms to the upstream and back. All latencies count from when the client was due.",
			main:  metricP99,
		},
		{
			name: workloadBrowser, title: "ClerkJS starts in Chromium",
			about: "From the navigation to the end of Clerk.load(), in a fresh profile: a page and ClerkJS through the proxy, 40 ms from the browser and with 20 ms more to the Frontend API, its cache warm; against the same page with ClerkJS directly from the Frontend API, 40 ms from the browser. Times are round trips.",
			main:  metricReady, needsNPM: true,
		},
	}
}
