package cli

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

// A reloader loads the configuration anew when it is asked to, and when one of its
// files has changed.
type reloader struct {
	source *config.Source
	server *server.Server
	log    *slog.Logger
	logTo  *logSwitch
	stderr io.Writer

	loaded config.Loaded  // in force
	files  *config.Files  // that were read last, for better or worse
	seen   config.Digests // of those files, when they were last looked at
}

// run ends with ctx.
func (r *reloader) run(ctx context.Context, asked <-chan os.Signal) {
	r.seen = r.files.Digests()
	for {
		var look <-chan time.Time
		if interval := r.loaded.Config.WatchInterval; interval > 0 {
			look = time.After(interval)
		}
		select {
		case <-asked:
			r.reload("SIGHUP")
		case <-look:
			if changed := r.changed(); len(changed) > 0 {
				r.reload("a file has changed", slog.String("file", masked(strings.Join(changed, ", "))))
			}
		case <-ctx.Done():
			return
		}
	}
}

// changed are the files that are others than those that were read, and none as long
// as any goes on changing: they are the same at two looks. Half a file can be a
// good configuration, with half of the sites.
func (r *reloader) changed() []string {
	now := r.files.DigestsNow()
	settled := maps.Equal(now, r.seen)
	r.seen = now
	if !settled {
		return nil
	}
	return r.files.Digests().Changed(now)
}

// reload says why it does, with details.
func (r *reloader) reload(why string, details ...any) {
	because := append([]any{slog.String("because", why)}, details...)
	tellSystemd(r.log, daemon.SdNotifyReloading)
	defer tellSystemd(r.log, daemon.SdNotifyReady)
	var next config.Loaded
	err := r.server.Reload(func() (_ server.Config, err error) {
		next, r.files, err = r.source.Load()
		return next.Server, err
	})
	r.seen = r.files.Digests()
	if err != nil {
		for _, problem := range server.Problems(next.Explain(err)) {
			what := []any{slog.String("problem", masked(problem.Error()))}
			r.log.Error("not reloaded: the former configuration stays in force", append(what, because...)...)
		}
		return
	}
	former := r.loaded
	r.loaded = next
	r.logTo.set(newLogHandler(next.Config.Log, r.stderr))
	r.log.Info("reloaded", because...)
	if next.Config.Admin != former.Config.Admin {
		r.log.Warn("admin has changed, which takes a restart")
	}
	announce(r.log, next, former)
}

// announce says what is served, and what an operator should know, unless it was
// said before.
func announce(log *slog.Logger, now, before config.Loaded) {
	for _, warning := range now.Warnings {
		if !slices.Contains(before.Warnings, warning) {
			log.Warn(warning)
		}
	}
	for _, site := range now.Config.Sites {
		said := slices.ContainsFunc(before.Config.Sites, func(s config.Site) bool { return reflect.DeepEqual(s, site) })
		if !said {
			announceSite(log, site)
		}
	}
	for _, site := range before.Config.Sites {
		stays := slices.ContainsFunc(now.Config.Sites, func(s config.Site) bool { return s.Name == site.Name })
		if !stays {
			log.Info("not serving any more", slog.String("site", site.Name))
		}
	}
}
