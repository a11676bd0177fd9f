package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/clerkproxy/clerkproxy/emulator"
	"github.com/clerkproxy/clerkproxy/internal/config"
	"github.com/clerkproxy/clerkproxy/internal/server"
)

type emulatorCommand struct {
	flags *pflag.FlagSet

	config     emulator.Config
	satellites []string
	users      []string
	caFile     string
	envFile    string
	log        config.Log
}

func newEmulatorCommand() *cobra.Command {
	var c emulatorCommand
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Run an emulated Clerk for other programs to talk to",
		Long: `Emulator runs a Clerk production instance on this machine: its Frontend API and
its Backend API, over TLS with an authority of its own. Point anything at it that
talks to Clerk: this proxy, an nginx, Clerk's npm packages. It enforces what Clerk
asks of a proxy. Everything is in memory, and forgotten when it ends.

When it is ready it writes the files that were asked for: the authority's
certificate, and the environment for other programs. It removes them when it ends.`,
		Example: `  clerk-proxy emulator --ca-file ca.pem --env-file clerk.env --proxy-url http://localhost:8080/__clerk

  # Then, elsewhere:
  set -a; . ./clerk.env; set +a
  clerk-proxy serve
  NODE_EXTRA_CA_CERTS=ca.pem node app.js`,
		Args: noArguments,
		RunE: c.run,
	}

	c.flags = cmd.Flags()
	c.flags.SortFlags = false
	c.flags.StringVar(&c.config.FrontendAPIAddr, "fapi-listen", "127.0.0.1:8443", "`host:port` of the Frontend API; port 0 for a free one")
	c.flags.StringVar(&c.config.BackendAPIAddr, "bapi-listen", "127.0.0.1:8444", "`host:port` of the Backend API; port 0 for a free one")
	c.flags.StringVar(&c.caFile, "ca-file", "", "`file` to write the authority's certificate to, in PEM")
	c.flags.StringVar(&c.envFile, "env-file", "", "`file` to write the environment to: keys and addresses as KEY=value")
	c.flags.StringArrayVar(&c.config.ProxyURLs, "proxy-url", nil, "`URL` of a proxy to accept requests from; repeat it for more")
	c.flags.StringVar(&c.config.Domain, "domain", "example.com", "the instance's `domain`; a proxy on loopback may be anywhere, others are on it")
	c.flags.StringArrayVar(&c.satellites, "satellite", nil, "satellite `domain` of the instance; repeat it for more")
	c.flags.StringArrayVar(&c.config.TLSHosts, "tls-host", nil, "further `host` that the certificate is for; repeat it for more")
	c.flags.StringArrayVar(&c.users, "user", []string{"ada@example.com:analytical-engine-1843"}, "`EMAIL:PASSWORD` of a user who is there from the start; repeat it for more")
	c.flags.StringVar(&c.config.NPMDir, "npm", "npm", "`directory` whose node_modules hold Clerk's packages, for /npm/")
	addLogFlags(c.flags, &c.log)
	return cmd
}

func (c *emulatorCommand) run(cmd *cobra.Command, _ []string) error {
	problems := append(readEnvironment(c.flags), logProblems(c.flags, c.log)...)
	for _, user := range c.users {
		email, password, ok := strings.Cut(user, ":")
		if !ok {
			problems = append(problems, problem(c.flags.Lookup("user"), "write EMAIL:PASSWORD, such as ada@example.com:analytical-engine-1843"))
			continue
		}
		c.config.Users = append(c.config.Users, emulator.User{Email: email, Password: password})
	}
	for _, domain := range c.satellites {
		c.config.Satellites = append(c.config.Satellites, emulator.Satellite{Domain: domain})
	}
	for _, file := range []struct{ flag, name string }{{"ca-file", c.caFile}, {"env-file", c.envFile}} {
		if err := checkReplaceable(file.name); err != nil {
			problems = append(problems, problem(c.flags.Lookup(file.flag), err.Error()))
		}
	}
	if c.caFile != "" && filepath.Clean(c.caFile) == filepath.Clean(c.envFile) {
		problems = append(problems, problem(c.flags.Lookup("env-file"), "is the file of --ca-file; write another name"))
	}
	for _, listen := range []struct{ flag, address string }{{"fapi-listen", c.config.FrontendAPIAddr}, {"bapi-listen", c.config.BackendAPIAddr}} {
		if err := server.CheckAddress(listen.address); err != nil {
			problems = append(problems, problem(c.flags.Lookup(listen.flag), err.Error()))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}

	log := slog.New(newLogHandler(c.log, cmd.ErrOrStderr()))
	c.config.Logger = log
	c.config.OnRequest = func(r emulator.Request) { logEmulated(log, r) }
	clerk, err := emulator.Start(c.config)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; name other ports with --fapi-listen and --bapi-listen", err)
	case err != nil:
		return err
	}
	defer clerk.Close()
	remove, err := c.writeFiles(clerk)
	defer remove()
	if err != nil {
		return err
	}
	fmt.Fprint(cmd.OutOrStdout(), c.welcome(clerk))
	<-cmd.Context().Done()
	return nil
}

func logEmulated(log *slog.Logger, r emulator.Request) {
	log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("api", r.API),
		slog.String("method", r.Method),
		slog.String("path", r.Path),
		slog.Int("status", r.Status),
		slog.Float64("duration_ms", float64(r.Duration.Round(time.Microsecond))/float64(time.Millisecond)),
		slog.String("forwarded_for", r.ForwardedFor))
}

// writeFiles writes the files that were asked for, the environment last: who
// waits for it finds everything ready. It returns what removes them again, not
// nil even with an error.
func (c *emulatorCommand) writeFiles(clerk *emulator.Server) (remove func(), err error) {
	var written []func()
	remove = func() {
		for _, each := range written {
			each()
		}
	}
	for _, file := range []struct {
		name, content string
		mode          fs.FileMode
	}{
		{c.caFile, string(clerk.CAPEM()), 0o644},
		{c.envFile, c.environment(clerk), 0o600}, // it holds the secret key
	} {
		if file.name == "" {
			continue
		}
		content := marker + "\n" + file.content
		if err := writeFile(file.name, content, file.mode); err != nil {
			if path, ok := errors.AsType[*fs.PathError](err); ok {
				err = path.Err // it names a file that is there for a moment
			}
			return remove, fmt.Errorf("write %s: %w", file.name, err)
		}
		written = append(written, func() { removeUnchanged(file.name, content) })
	}
	return remove, nil
}

// environment is what other programs need to talk to the emulated Clerk.
// CLERK_JWT_KEY is not among it: it has several lines, which programs read in
// several ways, and they get the keys from CLERK_API_URL.
func (c *emulatorCommand) environment(clerk *emulator.Server) string {
	var b strings.Builder
	for _, line := range clerk.Env() {
		if !strings.Contains(line, "\n") {
			fmt.Fprintln(&b, line)
		}
	}
	if len(c.config.ProxyURLs) > 0 {
		fmt.Fprintln(&b, "CLERK_PROXY_URL="+c.config.ProxyURLs[0])
	}
	if absolute, err := filepath.Abs(c.caFile); c.caFile != "" && err == nil && plain(absolute) {
		fmt.Fprintln(&b, "CLERK_PROXY_FAPI_CA="+absolute)
	}
	return b.String()
}

// plain reports whether a value means the same to a shell and to every other
// reader of KEY=value lines.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return false
		}
		return !strings.ContainsRune("/._-+@%", c)
	})
}

func (c *emulatorCommand) welcome(clerk *emulator.Server) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "  %-16s %s\n", name, value) }
	line("Frontend API", clerk.FrontendAPI)
	line("Backend API", clerk.BackendAPI)
	line("Publishable key", clerk.PublishableKey)
	line("Secret key", cmp.Or(c.envFile, "say --env-file FILE to have it written"))
	line("Authority", cmp.Or(c.caFile, "say --ca-file FILE to have it written"))
	for _, u := range c.config.ProxyURLs {
		line("Proxy", u)
	}
	for _, domain := range c.satellites {
		line("Satellite", domain)
	}
	for _, u := range c.config.Users {
		line("User", u.Email+", password "+u.Password)
	}
	line("E-mail code", emulator.Code+", always; nothing is sent")
	if _, err := os.Stat(filepath.Join(c.config.NPMDir, "node_modules", "@clerk")); err != nil {
		line("ClerkJS", "none: no packages of Clerk's in "+filepath.Join(c.config.NPMDir, "node_modules")+"; say --npm DIRECTORY")
	}
	return b.String()
}

// marker begins every file that the emulator writes, and so tells what it may
// replace. Readers of PEM and of KEY=value lines both skip it.
const marker = "# Written by clerk-proxy emulator; removed when it ends."

// checkReplaceable refuses a file that is not the emulator's own, such as the
// .env with one's real keys.
func checkReplaceable(name string) error {
	if name == "" {
		return nil
	}
	content, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s %w", name, config.FileError(err))
	case !strings.HasPrefix(string(content), marker):
		return fmt.Errorf("%s exists, and the emulator did not write it; choose another name, or move it away", name)
	}
	return nil
}

// writeFile replaces a file as a whole: nobody reads half of it.
func writeFile(name, content string, mode fs.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// removeUnchanged removes a file unless somebody, another emulator perhaps, has
// written it since.
func removeUnchanged(name, content string) {
	if found, err := os.ReadFile(name); err == nil && string(found) == content {
		_ = os.Remove(name)
	}
}
