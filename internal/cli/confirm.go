package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	errDryRun      = errors.New("nothing was changed: this is a dry run")
	errDeclined    = errors.New("nothing was changed: the answer was not yes")
	errInterrupted = notAsked(errors.New("nothing was changed: interrupted"))
	errUnconfirmed = notAsked(errors.New("nothing was changed: there is no terminal to ask at; say --yes to go ahead without being asked"))
	errNoAnswer    = notAsked(errors.New("nothing was changed: no answer came; say --yes to go ahead without being asked"))
)

// askFlags are those of a command that asks before it changes something.
type askFlags struct{ yes, dryRun bool }

// add adds the flags. No variables stand for them: consent is given for once.
func (a *askFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&a.yes, "yes", "y", false, "make the change without asking")
	flags.BoolVar(&a.dryRun, "dry-run", false, "show the request that would be sent, and change nothing")
}

// confirm asks the person at the terminal, unless --yes has answered.
func (a *askFlags) confirm(ctx context.Context, cmd *cobra.Command, question string) error {
	if a.yes {
		return nil
	}
	if !isTerminal(cmd.InOrStdin()) {
		return errUnconfirmed
	}
	fmt.Fprint(cmd.OutOrStdout(), question, " [y/N] ")
	answers := make(chan string, 1)
	go func() { // ends with the line, or with the process
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil {
			close(answers)
			return
		}
		answers <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(cmd.OutOrStdout())
		return errInterrupted
	case answer, ok := <-answers:
		switch {
		case !ok:
			fmt.Fprintln(cmd.OutOrStdout())
			return errNoAnswer
		case !yes(answer):
			return errDeclined
		}
	}
	return nil
}

func yes(answer string) bool {
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// isTerminal reports whether a stream is one. /dev/null passes for one that is
// at its end.
func isTerminal(stream any) bool {
	file, is := stream.(*os.File)
	if !is {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
