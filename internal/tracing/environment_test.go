package tracing

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// setenv sets OpenTelemetry's variables, and no others of its.
func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

func TestNothingIsTracedUnlessItIsAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		variables map[string]string
		want      bool
	}{
		"nothing said":                {nil, false},
		"a name alone":                {map[string]string{"OTEL_SERVICE_NAME": "x"}, false},
		"an endpoint":                 {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, true},
		"an endpoint for traces":      {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, true},
		"an exporter":                 {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true},
		"an endpoint, but not for it": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, false},
		"all of it switched off":      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, false},
		"over gRPC":                   {map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tt.variables)
			tr, err := FromEnvironment(t.Context(), "v1.2.3", slog.New(slog.DiscardHandler))
			if err != nil || (tr != nil) != tt.want {
				t.Errorf("got %v, %v", tr, err)
			}
			if tr != nil {
				_ = tr.Close()
			}
		})
	}
}

func TestProblemsOfTheEnvironment(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("Not a certificate."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ variable, value, want string }{
		{"OTEL_TRACES_EXPORTER", "zipkin", `"zipkin" is not one of otlp, none`},
		{"OTEL_TRACES_SAMPLER", "sometimes", `"sometimes" is not one of always_on`},
		{"OTEL_TRACES_SAMPLER_ARG", "5%", `"5%" is not a share of requests`},
		{"OTEL_TRACES_SAMPLER_ARG", "1.5", "from 0 to 1"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "http", `"http" is not one of grpc`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http", `"http" is not one of grpc`},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", `"zstd" is not one of gzip, none`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write one such as http://localhost:4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector", "has credentials in it"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "Bearer secret", "write name=value"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=%zzsecret", "write name=value"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization: secret=x", "write name=value"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "not a number of milliseconds"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "/nowhere cannot be read"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", noPEM, "holds no certificate"},
		{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", noPEM, "are not a certificate and its key"},
		{"OTEL_RESOURCE_ATTRIBUTES", "nonsense", "write key=value"},
	} {
		t.Run(tt.variable+" "+tt.value, func(t *testing.T) {
			setenv(t, map[string]string{"OTEL_TRACES_EXPORTER": "otlp", tt.variable: tt.value})
			_, err := FromEnvironment(t.Context(), "v1.2.3", slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.variable) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret is quoted: %v", err)
			}
		})
	}
}

// All the way to a collector, with nothing but the standard variables.
func TestTheStandardVariablesAreHonoured(t *testing.T) {
	type received struct {
		path, authorization string
		spans               *collector.ExportTraceServiceRequest
	}
	requests := make(chan received, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		spans := new(collector.ExportTraceServiceRequest)
		if err := proto.Unmarshal(body, spans); err != nil {
			t.Error(err)
		}
		requests <- received{r.URL.Path, r.Header.Get("Authorization"), spans}
	}))
	t.Cleanup(server.Close)
	setenv(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL,
		"OTEL_EXPORTER_OTLP_HEADERS":  "Authorization=Bearer%20t0k3n",
		"OTEL_SERVICE_NAME":           "sign-in",
		"OTEL_RESOURCE_ATTRIBUTES":    "deployment.environment.name=production",
		"OTEL_TRACES_SAMPLER":         "always_on",
	})
	tr, err := FromEnvironment(t.Context(), "v1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Start(httptest.NewRequest("GET", "/", nil), false)
	span.End(Request{Route: "/*", Status: 200})
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}

	got := <-requests
	if got.path != "/v1/traces" || got.authorization != "Bearer t0k3n" {
		t.Errorf("got %s with %q", got.path, got.authorization)
	}
	resource := got.spans.GetResourceSpans()[0]
	if name := resource.GetScopeSpans()[0].GetSpans()[0].GetName(); name != "GET /*" {
		t.Errorf("the span is called %s", name)
	}
	attributes := map[string]string{}
	for _, a := range resource.GetResource().GetAttributes() {
		attributes[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if attributes["service.name"] != "sign-in" || attributes["service.version"] != "v1.2.3" || attributes["deployment.environment.name"] != "production" {
		t.Errorf("the service is %v", attributes)
	}
}

func TestASamplerThatTakesNothing(t *testing.T) {
	setenv(t, map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"})
	tr, spans := newTracer(t)
	_, span := tr.Start(httptest.NewRequest("GET", "/", nil), false)
	span.End(Request{Route: "/*", Status: 200})
	if got := spans(); len(got) != 0 || span.TraceID() != "" {
		t.Errorf("got %v", got)
	}
}
