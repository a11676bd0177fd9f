package metrics

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	dashboardFile = "../../deploy/grafana/clerk-proxy.json"
	alertsFile    = "../../deploy/prometheus/alerts.yml"
)

// labelsOf returns the labels of every metric that a scrape has, by the name that
// a query has for it.
func labelsOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	families, err := everything().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]bool{"up": {"job": true, "instance": true}}
	for _, f := range families {
		labels := map[string]bool{"job": true, "instance": true} // those of the scrape
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		all[f.GetName()] = labels
		if f.GetMetric()[0].GetHistogram() != nil {
			delete(all, f.GetName())
			all[f.GetName()+"_count"], all[f.GetName()+"_sum"] = labels, labels
			all[f.GetName()+"_bucket"] = maps.Clone(labels)
			all[f.GetName()+"_bucket"]["le"] = true
		}
	}
	return all
}

// dashboardQueries are all that the dashboard asks Prometheus for.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Type, Definition string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Type == "query" {
			queries = append(queries, variable.Definition)
		}
	}
	for _, annotation := range dashboard.Annotations.List {
		queries = append(queries, annotation.Expr)
	}
	return queries
}

var alertQuery = regexp.MustCompile(`(?m)^ {8}expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)`)

func alertQueries(t *testing.T) (queries []string) {
	t.Helper()
	content, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range alertQuery.FindAllStringSubmatch(string(content), -1) {
		queries = append(queries, match[1]+match[2])
	}
	if alerts := strings.Count(string(content), "- alert:"); len(queries) != alerts {
		t.Fatalf("%d queries of %d alerts were found", len(queries), alerts)
	}
	return queries
}

var (
	selector = regexp.MustCompile(`\b((?:clerk_proxy|go|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*[=!]`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// Whatever the dashboard and the alerts ask for is there, with the labels by which
// they ask.
func TestQueriesAskForWhatThereIs(t *testing.T) {
	labels := labelsOf(t)
	for _, query := range slices.Concat(dashboardQueries(t), alertQueries(t)) {
		groups := grouping.FindAllStringSubmatch(query, -1)
		found := selector.FindAllStringSubmatch(grouping.ReplaceAllString(query, ""), -1)
		if len(found) == 0 {
			t.Errorf("it asks for no metric: %s", query)
		}
		for _, selected := range found {
			of, ok := labels[selected[1]]
			if !ok {
				t.Errorf("there is no metric %s: %s", selected[1], query)
				continue
			}
			for _, match := range matcher.FindAllStringSubmatch(selected[2], -1) {
				if !of[match[1]] {
					t.Errorf("%s has no label %s: %s", selected[1], match[1], query)
				}
			}
			for _, group := range groups {
				for label := range strings.SplitSeq(group[1], ",") {
					if label = strings.TrimSpace(label); !of[label] {
						t.Errorf("%s has no label %s: %s", selected[1], label, query)
					}
				}
			}
		}
	}
}

// No metric of ours is missing on the dashboard.
func TestTheDashboardShowsEverything(t *testing.T) {
	queries := strings.Join(dashboardQueries(t), "\n")
	for name := range labelsOf(t) {
		if strings.HasPrefix(name, "clerk_proxy_") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") &&
			!regexp.MustCompile(`\b`+name+`\b`).MatchString(queries) {
			t.Errorf("%s is not shown", name)
		}
	}
}
