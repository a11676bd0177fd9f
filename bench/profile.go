package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// profileDuring takes a profile of a proxy's processor time after a while, if it
// is asked for, and sends what came of that.
func (b *bench) profileDuring(ctx context.Context, i *instance, name string, after time.Duration) <-chan error {
	done := make(chan error, 1)
	if b.profile == "" {
		done <- nil
		return done
	}
	args := i.process.cmd.Args
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", args[slices.Index(args, "--admin-listen")+1], max(1, b.options.measure.Seconds()))
	go func() { // ends with ctx at the latest
		sleep(ctx, after)
		done <- download(ctx, url, filepath.Join(b.dir, name+".pprof"))
	}()
	return done
}

func download(ctx context.Context, url, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// writeProfile writes the sum of all profiles.
func (b *bench) writeProfile(ctx context.Context) error {
	parts, err := filepath.Glob(filepath.Join(b.dir, "*.pprof"))
	if err != nil || len(parts) == 0 {
		return fmt.Errorf("no workload was profiled")
	}
	_, err = output(ctx, b.root, "go", append([]string{"tool", "pprof", "-proto", "-output", b.profile}, parts...)...)
	return err
}
