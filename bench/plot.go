package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

var colours = map[string]string{
	"clerkproxy":   "#6c47ff",
	"nginx":        "#009639",
	"nginx-guide":  "#7fca9b",
	"haproxy":      "#1d6fb8",
	"caddy":        "#22b8cf",
	"reverseproxy": "#8a94a6",
	"express":      "#d9a441",
}

// svg draws each workload's main metric as a ratio to tuned nginx, on a
// logarithmic scale: a bar to the left is better than nginx.
func (r *report) svg() []byte {
	const (
		width, left, right = 860, 210, 70
		bar, gap, head     = 16, 4, 34
	)
	var b bytes.Buffer
	y := 52
	low, high := 0.5, 2.0
	type plotted struct {
		name  string
		ratio float64
	}
	type panel struct {
		title string
		bars  []plotted
	}
	var panels []panel
	for _, w := range r.workloads {
		if w.name == workloadBrowser {
			continue // not about proxies
		}
		unit := map[string]string{metricCPU: "processor time", metricMemory: "memory", metricP99: "p99"}[w.main]
		p := panel{title: w.title + ": " + unit}
		for _, each := range r.shownPeers() {
			if ratio := r.found.ratio(w.name, w.main, each.name, "nginx"); !math.IsNaN(ratio) && ratio > 0 {
				p.bars = append(p.bars, plotted{each.name, ratio})
				low, high = min(low, ratio*0.9), max(high, ratio*1.1)
			}
		}
		if len(p.bars) > 0 {
			panels = append(panels, p)
		}
	}
	x := func(ratio float64) float64 {
		return left + (width-left-right)*math.Log(ratio/low)/math.Log(high/low)
	}
	body := &bytes.Buffer{}
	for _, p := range panels {
		fmt.Fprintf(body, "<text x=\"16\" y=\"%d\" class=\"panel\">%s</text>\n", y+head-12, escape(p.title))
		y += head
		for _, each := range p.bars {
			from, to := min(x(1), x(each.ratio)), max(x(1), x(each.ratio))
			fmt.Fprintf(body, "<text x=\"%d\" y=\"%d\" class=\"name\">%s</text>\n", left-8, y+bar-4, escape(r.title(each.name)))
			fmt.Fprintf(body, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", from, y, max(to-from, 2), bar, colours[each.name])
			fmt.Fprintf(body, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", to+5, y+bar-4, number(each.ratio))
			y += bar + gap
		}
	}
	height := y + 20
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"clerk-proxy and its peers, ratios to tuned nginx\">\n", width, height, width, height)
	b.WriteString("<style>text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:16px;font-weight:600}.panel{font-weight:600}.name{text-anchor:end}.tick{fill:#777;text-anchor:middle;font-size:11px}</style>\n")
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", width, height)
	b.WriteString("<text x=\"16\" y=\"26\" class=\"title\">Ratio to tuned nginx: shorter, or to the left, is better</text>\n")
	for _, t := range []float64{0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200} {
		if t < low || t > high {
			continue
		}
		colour := "#e4e4e7"
		if t == 1 {
			colour = "#222"
		}
		fmt.Fprintf(&b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"56\" y2=\"%d\" stroke=\"%s\"/>\n", x(t), x(t), height-12, colour)
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"50\" class=\"tick\">%g</text>\n", x(t), t)
	}
	b.Write(body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
