package acme

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/clerkproxy/clerkproxy/internal/certificate"
)

// processVariable holds the configuration of a machine that is a process of its
// own: it shares nothing with the test but the storage.
const processVariable = "ACME_TEST_CONFIG"

// runProcess is the process: it logs to its output, and has the certificates of
// the hosts revoked that its input names.
func runProcess() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := serveProcess(log); err != nil {
		log.Error("failed", slog.Any("error", err))
		os.Exit(1)
	}
}

func serveProcess(log *slog.Logger) error {
	var c certificate.Config
	if err := json.Unmarshal([]byte(os.Getenv(processVariable)), &c); err != nil {
		return err
	}
	manager, err := certificate.New(c, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	log.Info("listening", slog.String("address", listener.Addr().String()))
	server := &http.Server{TLSConfig: manager.TLSConfig(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go server.ServeTLS(listener, "", "")
	go manager.Run(context.Background())
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		if err := manager.Revoke(context.Background(), input.Text(), 4); err != nil {
			return err
		}
		log.Info("revoked")
	}
	return nil
}

// A process is a machine that another process plays.
type process struct {
	address string
	input   io.Writer
	log     *book
}

func startProcess(t *testing.T, c certificate.Config) *process {
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processVariable+"="+string(encoded))
	input, inErr := cmd.StdinPipe()
	output, outErr := cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		t.Fatal(inErr, outErr)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{input: input, log: newBook()}
	read := make(chan struct{})
	go func() { // ends with the process
		defer close(read)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			p.log.Write(append(lines.Bytes(), '\n'))
		}
	}()
	t.Cleanup(func() {
		input.Close() // which ends it
		defer time.AfterFunc(timeout, func() { _ = cmd.Process.Kill() }).Stop()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the other process: %v\n%s", err, p.log)
		}
	})
	p.address = p.log.wait(t, "listening")["address"].(string)
	return p
}

func (p *process) serial(t *testing.T, authority *pebble, host string) string {
	t.Helper()
	cert, err := authority.handshake(p.address, host)
	if err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.String()
}

func (p *process) revoke(t *testing.T, host string) {
	t.Helper()
	if _, err := io.WriteString(p.input, host+"\n"); err != nil {
		t.Fatal(err)
	}
	p.log.wait(t, "revoked")
}
