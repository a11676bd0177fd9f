package cli

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// systemdSockets are those that systemd has passed to this process,
// sd_listen_fds(3), by what they are called in --listen.
func systemdSockets() (map[string][]net.Listener, error) {
	byName, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	sockets := map[string][]net.Listener{}
	for name, listeners := range byName {
		sockets["systemd:"+name] = listeners
		sockets["systemd"] = append(sockets["systemd"], listeners...)
	}
	return sockets, nil
}

// tellSystemd tells the service manager how this process is, sd_notify(3), if
// there is one that wants to know.
func tellSystemd(log *slog.Logger, state string) {
	if state == daemon.SdNotifyReloading {
		state += "\n" + daemon.SdNotifyMonotonicUsec()
	}
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd could not be told how this process is", slog.String("reason", err.Error()))
	}
}

// keepWatchdog tells systemd that this process is alive, until ctx is done, if its
// unit has WatchdogSec.
func keepWatchdog(ctx context.Context, log *slog.Logger) {
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil || timeout <= 0 {
		return
	}
	alive := time.NewTicker(timeout / 2)
	defer alive.Stop()
	for {
		select {
		case <-alive.C:
			tellSystemd(log, daemon.SdNotifyWatchdog)
		case <-ctx.Done():
			return
		}
	}
}
