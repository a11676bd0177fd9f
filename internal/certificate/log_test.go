package certificate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestWhatOfCertmagicsIsLogged(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  func(*zap.Logger)
		want string // with all levels
		info bool   // it is there at info too
	}{
		{"a step", func(z *zap.Logger) { z.Info("lock acquired", zap.String("identifier", "app.dev")) }, `level=DEBUG msg="acme: lock acquired" host=app.dev`, false},
		{"a warning", func(z *zap.Logger) { z.Warn("slow", zap.Strings("identifiers", []string{"a", "b"})) }, `level=WARN msg="acme: slow" hosts="[a b]"`, true},
		{"an error", func(z *zap.Logger) { z.Error("job failed", zap.Error(errors.New("no space"))) }, `level=WARN msg="acme: job failed" error="no space"`, true},
		{"a field of the logger's", func(z *zap.Logger) { z.With(zap.String("identifier", "app.dev")).Warn("slow") }, `level=WARN msg="acme: slow" host=app.dev`, true},
		{"a name of the logger's", func(z *zap.Logger) { z.Named("obtain").Warn("slow") }, `level=WARN msg="acme: slow"`, true},
		{"a field that is not known", func(z *zap.Logger) {
			z.With(zap.String("mac_key", "s3cret")).Error("odd", zap.Any("headers", "s3cret"), zap.String("token", "s3cret"))
		}, `level=WARN msg="acme: odd"`, true},
		{"what is logged already", func(z *zap.Logger) { z.Error("will retry", zap.Int("attempt", 1)) }, `level=DEBUG msg="acme: will retry" attempt=1`, false},
		{"the end that was wanted", func(z *zap.Logger) { z.Error("failed", zap.Error(fmt.Errorf("get: %w", context.Canceled))) }, `level=DEBUG msg="acme: failed" error="get: context canceled"`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all, info book
			tt.log(bridge(slog.New(slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug}))))
			tt.log(bridge(info.logger()))
			if _, line, _ := strings.Cut(strings.TrimSpace(all.String()), " "); line != tt.want {
				t.Errorf("got %s", line)
			}
			if (info.String() != "") != tt.info {
				t.Errorf("at info: %q", info.String())
			}
		})
	}
}
