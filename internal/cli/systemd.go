package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// systemdSockets are those that systemd has passed to this process,
// sd_listen_fds(3), by what they are called in --listen; those for datagrams by what
// [server.Config] calls them.
func systemdSockets() (sockets map[string][]net.Listener, conns map[string][]net.Conn) {
	sockets, conns = map[string][]net.Listener{}, map[string][]net.Conn{}
	count := map[string]int{}
	for _, file := range activation.Files(true) {
		var conn net.Conn
		listener, err := net.FileListener(file)
		if err != nil {
			conn, _ = net.FileConn(file)
		}
		_ = file.Close() // what was made of it has descriptors of its own
		for _, address := range []string{"systemd:" + file.Name(), "systemd"} {
			switch udp, ok := conn.(*net.UDPConn); {
			case listener != nil:
				sockets[address] = append(sockets[address], listener)
			case ok:
				conns[fmt.Sprintf("udp %d %s", count[address], address)] = []net.Conn{udp}
				count[address]++
			}
		}
	}
	return sockets, conns
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
