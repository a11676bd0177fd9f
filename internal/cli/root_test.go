package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestEachProblemIsALine(t *testing.T) {
	err := errors.Join(
		errors.New("one"),
		errors.Join(errors.New("two"), fmt.Errorf("three: %w", errors.New("with\na newline and \x1b[2Jmore"))),
	)
	var out bytes.Buffer
	printErrors(&out, err)
	if want := "clerk-proxy: one\nclerk-proxy: two\nclerk-proxy: three: with a newline and [2Jmore\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}
