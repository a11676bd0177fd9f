package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clerkproxy/clerkproxy/internal/config"
)

func newHealthcheckCommand() *cobra.Command {
	pages := config.Default().Admin
	var ready bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is well",
		Long: `Healthcheck asks the admin pages of the server on this machine for /healthz, or
with --ready for /readyz. The exit status is 0 when the answer is good, else 1, and
what was answered is said. It is for containers, which have neither a shell nor
curl. It does not read a configuration file: if the admin pages are elsewhere, say
where.`,
		Example: `  clerk-proxy healthcheck
  clerk-proxy healthcheck --ready --admin-listen :9090`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			problems := readEnvironment(cmd.Flags())
			for _, p := range pages.Problems() {
				problems = append(problems, problem(cmd.Flags().Lookup("admin-listen"), p.Text))
			}
			switch {
			case !pages.On():
				problems = append(problems, problem(cmd.Flags().Lookup("admin-listen"), "is off, so there is nothing to ask; turn the admin pages on, or do without this check"))
			case timeout <= 0:
				problems = append(problems, problem(cmd.Flags().Lookup("timeout"), fmt.Sprintf("%s is too short; write a time such as 3s", timeout)))
			}
			if err := errors.Join(problems...); err != nil {
				return err
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return isWell(ctx, "http://"+reachable(pages.Listen)+path)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&pages.Listen, "admin-listen", pages.Listen, "`host:port` of the admin pages, as serve has it")
	fromEnvironment(cmd.Flags(), nil)
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long the answer may take")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it wants traffic, not just whether it lives")
	return cmd
}

// reachable is the address at which to find what listens on another one: all of a
// machine's addresses include loopback.
func reachable(listen string) string {
	host, port, _ := net.SplitHostPort(listen)
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = ""
	}
	return net.JoinHostPort(cmp.Or(host, "localhost"), port)
}

func isWell(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	direct := &http.Transport{DisableKeepAlives: true} // whatever HTTP_PROXY says
	answer, err := direct.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", url, err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	switch {
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers with status %d: %s", url, answer.StatusCode, strings.TrimSpace(string(said)))
	case err != nil:
		return fmt.Errorf("%s answers half: %w", url, err)
	}
	return nil
}
