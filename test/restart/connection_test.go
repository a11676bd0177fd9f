package restart

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	h3 "github.com/quic-go/quic-go/http3"
)

// errUnused is that of a connection that has been told to end before anything
// was asked on it. Any client asks elsewhere then.
var errUnused = errors.New("the connection was not used")

// A connection asks once.
type connection interface {
	usable() bool
	ask(visit) (resp *http.Response, body string, err error)
	Close() error
}

// A dialer makes a connection to ask for a host.
type dialer func(host string) (connection, error)

// plainly speaks HTTP/1.1.
func plainly(address string) dialer {
	return func(string) (connection, error) {
		conn, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return nil, err
		}
		return &http1{conn, bufio.NewReader(conn)}, nil
	}
}

// securely speaks HTTP/1.1 over TLS.
func (w *witnesses) securely(address string) dialer {
	return func(host string) (connection, error) {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, &tls.Config{RootCAs: w.roots, ServerName: host, VerifyConnection: w.note})
		if err != nil {
			return nil, err
		}
		return &http1{conn, bufio.NewReader(conn)}, nil
	}
}

// by2 speaks HTTP/2.
func (w *witnesses) by2(address string) dialer {
	return func(host string) (connection, error) {
		t := &http.Transport{
			Protocols:       new(http.Protocols),
			TLSClientConfig: &tls.Config{RootCAs: w.roots, VerifyConnection: w.note},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}
		t.Protocols.SetHTTP2(true)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := t.NewClientConn(ctx, "https", host+":443")
		if err != nil {
			return nil, err
		}
		return &http2{conn}, nil
	}
}

// by3 speaks HTTP/3.
func (w *witnesses) by3(address string) dialer {
	return func(host string) (connection, error) {
		conn, err := quic.DialAddr(context.Background(), address, &tls.Config{
			RootCAs: w.roots, ServerName: host, VerifyConnection: w.note, NextProtos: []string{h3.NextProtoH3},
		}, nil)
		if err != nil {
			return nil, err
		}
		return &http3{new(h3.Transport).NewClientConn(conn)}, nil
	}
}

type http1 struct {
	net.Conn
	reader *bufio.Reader
}

func (c *http1) usable() bool { return true }

func (c *http1) ask(v visit) (*http.Response, string, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, "", err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", v.path, v.host, v.header); err != nil {
		return nil, "", err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// An http2 is a connection without a pool, as a pool would try again.
type http2 struct{ *http.ClientConn }

func (c *http2) usable() bool { return c.Available() > 0 }

func (c *http2) ask(v visit) (*http.Response, string, error) {
	resp, body, err := askOver(c, v)
	switch {
	case err == nil && resp.ProtoMajor != 2:
		err = fmt.Errorf("it is %s", resp.Proto)
	case resp == nil && strings.Contains(err.Error(), "client conn not usable"):
		err = errUnused
	}
	return resp, body, err
}

// askOver asks over a connection whose requests have a context.
func askOver(c http.RoundTripper, v visit) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "https://"+v.host+v.path, nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := c.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// An http3 is a connection without a pool, too.
type http3 struct{ *h3.ClientConn }

func (c *http3) usable() bool { return c.Context().Err() == nil }

func (c *http3) Close() error {
	return c.CloseWithError(quic.ApplicationErrorCode(h3.ErrCodeNoError), "")
}

func (c *http3) ask(v visit) (*http.Response, string, error) {
	resp, body, err := askOver(c, v)
	if resp == nil {
		// It was told to ask no more, before or after it asked, RFC 9114 §5.2.
		refused, ok := errors.AsType[*h3.Error](err)
		if ok && refused.ErrorCode == h3.ErrCodeRequestRejected || strings.Contains(err.Error(), "graceful shutdown") {
			err = errUnused
		}
	}
	return resp, body, err
}
