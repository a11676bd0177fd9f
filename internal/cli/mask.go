package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A key that was typed in the wrong place must not be repeated, as what is printed
// ends up in logs and tickets. These begin what Clerk gives out as secrets: keys of
// the Backend API, of machines and of API keys, and those that sign webhooks.
var secretValue = regexp.MustCompile(`(sk_live_|sk_test_|\bas?k_|\bmt_|whsec_)[A-Za-z0-9+/=_-]+`)

// masked is the text without what may be a secret in it.
func masked(text string) string { return secretValue.ReplaceAllString(text, "$1…") }

// flagError is what cobra says of a flag that does not exist, without its value:
// of one with a dash too few, or too many, it would repeat that. Of a value that is
// wrong it says what is said of the variable.
func flagError(cmd *cobra.Command, err error) error {
	if syntax, is := errors.AsType[*pflag.InvalidSyntaxError](err); is {
		name, _, _ := strings.Cut(strings.TrimLeft(syntax.GetSpecifiedFlag(), "-"), "=")
		return fmt.Errorf("a flag is two dashes and a name, such as --help; write --%s", name)
	}
	if invalid, is := errors.AsType[*pflag.InvalidValueError](err); is {
		return fmt.Errorf("--%s: %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), valid(invalid.GetFlag()))
	}
	unknown, is := errors.AsType[*pflag.NotExistError](err)
	if !is || len(unknown.GetSpecifiedShortnames()) < 2 {
		return err
	}
	name, _, _ := strings.Cut(unknown.GetSpecifiedShortnames(), "=")
	if cmd.Flags().Lookup(name) == nil {
		return fmt.Errorf("unknown flag: -%s", name)
	}
	return fmt.Errorf("unknown flag: -%s; write --%[1]s", name)
}

// knownTopic refuses what help would repeat as it is.
func knownTopic(cmd *cobra.Command, args []string) error {
	_, _, err := cmd.Root().Find(args)
	return err
}
