package tracing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// FromEnvironment returns the tracer that OpenTelemetry's standard variables ask
// for: OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or
// OTEL_TRACES_EXPORTER=otlp for a collector on this machine. It is nil when they
// ask for none. Its error joins every problem of theirs: the library's way is to
// go on with a default and to print what it could not read, a token perhaps.
func FromEnvironment(ctx context.Context, version string, log *slog.Logger) (*Tracer, error) {
	if !wanted() {
		return nil, nil
	}
	if err := CheckEnvironment(); err != nil {
		return nil, err
	}
	exporter, err := newExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_…: %w", err)
	}
	return New(Config{Exporter: exporter, Version: version, Logger: log})
}

// CheckEnvironment returns what FromEnvironment would find wrong with the
// variables, each a problem of its own.
func CheckEnvironment() error {
	if !wanted() {
		return nil
	}
	return errors.Join(problems()...)
}

// wanted reports whether there is to be a trace. The standard's default would be
// to look for a collector on this machine; without a word of it nothing is done.
func wanted() bool {
	switch {
	case strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true"), variable("OTEL_TRACES_EXPORTER") == "none":
		return false
	}
	return variable("OTEL_TRACES_EXPORTER") != "" || ofTraces("ENDPOINT") != ""
}

func newExporter(ctx context.Context) (sdk.SpanExporter, error) {
	if ofTraces("PROTOCOL") == "grpc" {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

func variable(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// ofTraces is the value of a variable of the exporter's; the one for traces
// alone goes first.
func ofTraces(name string) string {
	if value := variable("OTEL_EXPORTER_OTLP_TRACES_" + name); value != "" {
		return value
	}
	return variable("OTEL_EXPORTER_OTLP_" + name)
}

// problems are what is wrong with the variables.
func problems() (all []error) {
	check := func(name string, problem func(string) string) {
		if value := variable(name); value != "" {
			if text := problem(value); text != "" {
				all = append(all, errors.New(name+": "+text))
			}
		}
	}
	check("OTEL_TRACES_EXPORTER", oneOf("otlp", "none"))
	check("OTEL_TRACES_SAMPLER", func(value string) string {
		return oneOf("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")(strings.ToLower(value))
	})
	check("OTEL_TRACES_SAMPLER_ARG", ratioProblem)
	check("OTEL_RESOURCE_ATTRIBUTES", resourceProblem)
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		check(prefix+"PROTOCOL", oneOf("grpc", "http/protobuf", "http/json"))
		check(prefix+"COMPRESSION", oneOf("gzip", "none"))
		check(prefix+"ENDPOINT", endpointProblem)
		check(prefix+"HEADERS", headersProblem)
		check(prefix+"TIMEOUT", timeoutProblem)
		check(prefix+"CERTIFICATE", authoritiesProblem)
		check(prefix+"CLIENT_CERTIFICATE", func(file string) string {
			return pairProblem(file, variable(prefix+"CLIENT_KEY"))
		})
	}
	return all
}

func oneOf(words ...string) func(string) string {
	return func(value string) string {
		for _, word := range words {
			if value == word {
				return ""
			}
		}
		return fmt.Sprintf("%q is not one of %s", value, strings.Join(words, ", "))
	}
}

func resourceProblem(string) string {
	if _, err := resource.New(context.Background(), resource.WithFromEnv()); err != nil {
		return "is not a list of attributes; write key=value, separated by commas, the values URL-encoded"
	}
	return ""
}

func ratioProblem(value string) string {
	if ratio, err := strconv.ParseFloat(value, 64); err != nil || ratio < 0 || ratio > 1 {
		return fmt.Sprintf("%q is not a share of requests; write one from 0 to 1, such as 0.05", value)
	}
	return ""
}

// endpointProblem does not quote the URL: there may be a password in it.
func endpointProblem(value string) string {
	const write = "; write one such as http://localhost:4318"
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "is not an http or https URL" + write
	case u.User != nil:
		return "has credentials in it; they go into OTEL_EXPORTER_OTLP_HEADERS"
	}
	return ""
}

// headersProblem does not quote the headers: there are tokens in them.
func headersProblem(value string) string {
	for _, pair := range strings.Split(value, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !ok || err != nil || strings.TrimSpace(name) == "" || strings.ContainsAny(strings.TrimSpace(name), " \t:\"/()<>@;\\{}[]?") {
			return "is not a list of headers; write name=value, separated by commas, the values URL-encoded"
		}
	}
	return ""
}

func timeoutProblem(value string) string {
	if n, err := strconv.Atoi(value); err != nil || n <= 0 {
		return fmt.Sprintf("%q is not a number of milliseconds", value)
	}
	return ""
}

func authoritiesProblem(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Sprintf("%s cannot be read", file)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(content) {
		return fmt.Sprintf("%s holds no certificate in PEM", file)
	}
	return ""
}

func pairProblem(certificate, key string) string {
	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		return fmt.Sprintf("%s and %s are not a certificate and its key in PEM", certificate, key)
	}
	return ""
}
