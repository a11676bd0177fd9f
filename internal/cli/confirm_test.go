//go:build unix

package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/spf13/cobra"
)

func TestAnInterruptAnswersForThePerson(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	cmd := &cobra.Command{}
	cmd.SetIn(terminal)
	cmd.SetOut(io.Discard)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := (&askFlags{}).confirm(ctx, cmd, "Change it?"); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
	if err := (&askFlags{yes: true}).confirm(ctx, cmd, "Change it?"); err != nil {
		t.Errorf("with --yes: %v", err)
	}
}
