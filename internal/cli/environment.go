package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// The annotations that name a flag's variables, and the one that has set it.
const (
	environmentVariables = "clerk-proxy/environment"
	variableInUse        = "clerk-proxy/variable"
)

// variableOf names the variable that has set a flag, if one has.
func variableOf(f *pflag.Flag) string { return strings.Join(f.Annotations[variableInUse], "") }

// fromEnvironment gives every flag the environment variable that stands for it:
// CLERK_PROXY_ and the flag's name, unless Clerk's own tools have names for it,
// of which the first that is set counts.
func fromEnvironment(flags *pflag.FlagSet, clerks map[string][]string) {
	flags.VisitAll(func(f *pflag.Flag) {
		variables := clerks[f.Name]
		if variables == nil {
			variables = []string{"CLERK_PROXY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))}
		}
		f.Usage += " [$" + variables[0] + "]"
		f.Annotations = map[string][]string{environmentVariables: variables}
	})
}

// readEnvironment sets the flags that were not given. An empty variable counts
// as none: that is how a compose file or a shell leaves one out. An empty flag
// is a mistake.
func readEnvironment(flags *pflag.FlagSet) (problems []error) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			if value := f.Value.String(); value == "" || value == "[]" {
				problems = append(problems, problem(f, "is empty; give it a value or leave it out"))
			}
			return
		}
		for _, name := range f.Annotations[environmentVariables] {
			value := os.Getenv(name)
			if value == "" {
				continue
			}
			f.Annotations[variableInUse] = []string{name}
			if err := f.Value.Set(value); err != nil {
				problems = append(problems, fmt.Errorf("--%s (%s): %q is not %s", f.Name, name, value, valid(f)))
				reset(f) // whatever pflag made of it would be a second problem
			}
			return
		}
	})
	return problems
}

// valid describes what a flag takes.
func valid(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "duration":
		return "a duration; write one such as 30s"
	default:
		return "a " + f.Value.Type()
	}
}

// reset gives a flag its default back. Of a list that is none.
func reset(f *pflag.Flag) {
	delete(f.Annotations, variableInUse)
	if list, ok := f.Value.(pflag.SliceValue); ok {
		_ = list.Replace(nil)
		return
	}
	_ = f.Value.Set(f.DefValue)
}

// problem says what is wrong with a flag.
func problem(f *pflag.Flag, text string) error { return errors.New(called(f) + ": " + text) }

// called names a flag, and its variable too, since what it says may have come
// from there.
func called(f *pflag.Flag) string {
	name := "--" + f.Name
	if variables := f.Annotations[environmentVariables]; len(variables) > 0 {
		name += " (" + variables[0] + ")"
	}
	return name
}

// forgetClerk drops Clerk's variables from the environment, where they are about
// another instance than the one that is served.
func forgetClerk() error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "CLERK_") && !strings.HasPrefix(name, "NEXT_PUBLIC_CLERK_") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unset %s: %w", name, err)
		}
	}
	return nil
}
