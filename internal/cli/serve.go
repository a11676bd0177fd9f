package cli

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/handover"
	"github.com/clerkproxy/clerkproxy/internal/instance"
	"github.com/clerkproxy/clerkproxy/internal/server"
	"github.com/clerkproxy/clerkproxy/internal/tracing"
)

type serveCommand struct {
	settings settings
}

func newServeCommand() *cobra.Command {
	var c serveCommand
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve Clerk's Frontend API in front of an application",
		Long: `Serve forwards requests under the proxy's path to Clerk's Frontend API, and all
others to the application. It needs the keys of a production instance: the
publishable key, and the secret key in CLERK_SECRET_KEY or in a file. The secret
key is not taken from the command line, where others could read it.

Each flag can be set by the environment variable in brackets instead; the flag
goes first. NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY and NEXT_PUBLIC_CLERK_PROXY_URL work
too. For several sites, each with hosts, keys and an application of its own,
write a file and say --config.

It listens on this machine only, and speaks plain HTTP, for something in front of
it that does TLS. In a container, or with a proxy on another machine in front, say
--listen :8080. With certificates it does TLS itself, and has HTTP/2: with those in
files (--tls-cert and --tls-key), or with those that an authority such as Let's
Encrypt issues (--acme). Then say --listen :443, and --http-listen :80 to redirect
plain HTTP; --http3 adds HTTP/3.

Peers with loopback and private addresses are believed about whom they forward for;
if others than your proxies have such addresses, name your proxies with
--trusted-proxies.

SIGTERM and SIGINT end it once the requests under way have ended; a second one
ends it at once. SIGHUP, and a change of the files, make it read its configuration
anew, without dropping a request; one that is wrong changes nothing.

A restart refuses no connection when systemd holds the sockets (--listen systemd),
or when the new process takes them over from the one that runs (--handover).`,
		Example: `  clerk-proxy serve --app http://localhost:3000 --host app.dev
  clerk-proxy serve --listen :8080 --app http://app:3000 --proxy-url https://app.dev/__clerk
  clerk-proxy serve --app http://localhost:3000 --host app.dev \
      --trusted-proxies 127.0.0.1 --client-ip-header CF-Connecting-IP
  clerk-proxy serve --listen :443 --http-listen :80 --acme --app http://localhost:3000 --host app.dev
  clerk-proxy serve --listen :443 --tls-cert chain.pem --tls-key key.pem --app http://localhost:3000 --host app.dev
  clerk-proxy serve --config /etc/clerk-proxy.yaml`,
		Args: noArguments,
		RunE: c.run,
	}
	c.settings.add(cmd.Flags())
	return cmd
}

func (c *serveCommand) run(cmd *cobra.Command, _ []string) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP) // before anything else: it would end the process
	defer signal.Stop(asked)
	signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go away; people go on signing in

	defer collectLate()()
	environ := os.Environ() // before Clerk's variables are dropped from it
	source, unused, problems := c.settings.source()
	loaded, files, err := source.Load()
	if err := errors.Join(append(problems, err, tracing.CheckEnvironment())...); err != nil {
		warnOfVariables(cmd, environ, loaded.Config.Sites) // they may be why
		return err
	}
	logTo := newLogSwitch(newLogHandler(loaded.Config.Log, cmd.ErrOrStderr()))
	var seen overview
	log := slog.New(seen.events.Handler(logTo))
	for _, warning := range unknownVariables(cmd.Root(), environ, loaded.Config.Sites) {
		log.Warn(warning)
	}
	if len(unused) > 0 {
		log.Warn(strings.Join(unused, ", ") + " in the environment: not used, as the sites are in " + source.File)
	}

	ctx, end := context.WithCancelCause(cmd.Context())
	defer end(nil)
	turn, err := takeTurn(ctx, c.settings.handover, log)
	if err != nil {
		return err
	}
	defer turn.end()
	conf := loaded.Server
	conf.Logger = log
	conf.Inherited, conf.InheritedDatagrams = turn.sockets, turn.conns
	conf.OnListen = func(addr net.Addr, serves string) {
		log.Info("listening", slog.String("address", addr.String()), slog.String("version", buildVersion().module), slog.String("serves", serves))
	}
	conf.OnReady = func() {
		turn.begin(log)
		tellSystemd(log, daemon.SdNotifyReady)
	}
	conf.OnStop = func() { tellSystemd(log, daemon.SdNotifyStopping) }
	conf.Tracer, err = tracing.FromEnvironment(ctx, buildVersion().module, log)
	if err != nil {
		return err
	}
	defer endTraces(conf.Tracer, log)
	if loaded.Config.Admin.On() {
		conf.OnAccess = seen.follow
	}
	srv, err := server.New(conf)
	if err != nil {
		return loaded.Explain(err)
	}
	announce(log, loaded, config.Loaded{})
	turn.offer = handover.Offer{
		Sockets:  srv.Listeners,
		Conns:    srv.Datagrams,
		Passed:   srv.PassDatagrams,
		Replaced: func() { end(server.ErrReplaced) },
		Logger:   log,
	}
	go keepWatchdog(ctx, log) // ends with ctx
	reloads := reloader{source: source, server: srv, log: log, logTo: logTo, stderr: cmd.ErrOrStderr(), loaded: loaded, files: files}
	go reloads.run(ctx, asked) // ends with ctx
	if pages := loaded.Config.Admin; pages.On() {
		defer seen.show(ctx, srv, pages, log)()
	}
	return srv.Run(ctx)
}

// endTraces sends what is left of the traces.
func endTraces(tracer *tracing.Tracer, log *slog.Logger) {
	if tracer == nil {
		return
	}
	if err := tracer.Close(); err != nil {
		log.Warn("the last traces were not sent", slog.String("reason", err.Error()))
	}
}

func announceSite(log *slog.Logger, site config.Site) {
	inst, _ := instance.ParsePublishableKey(site.PublishableKey)
	proxy := site.ProxyURL
	if !inst.Live {
		proxy = "off"
	}
	log.Info("serving",
		slog.String("site", site.Name),
		slog.String("hosts", cmp.Or(strings.Join(site.Hosts, ","), "all")),
		slog.String("proxy", proxy),
		slog.String("frontend_api", site.FrontendAPIURL),
		slog.String("app", cmp.Or(site.App, "none")),
		slog.Bool("authenticate", site.Authenticate))
}
