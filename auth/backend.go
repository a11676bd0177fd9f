package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// apiVersion is the version of Clerk's APIs that this package speaks.
	apiVersion = "2026-05-12"

	// maxBackendBytes is how much of an answer is read.
	maxBackendBytes = 1 << 20
)

// A backend talks to Clerk's Backend API.
//
// It is not the client of Clerk's Go SDK: that one speaks an older version of
// the API, knows neither of the calls that a handshake and a refresh need, and
// reads answers of any size.
type backend struct {
	url       string // without a trailing slash
	secretKey func() string
	timeout   time.Duration
	client    *http.Client
}

// A backendError is an answer of the Backend API that is an error.
type backendError struct {
	status int
	code   string // of the first error, or empty
}

func (e *backendError) Error() string {
	return fmt.Sprintf("the Backend API answered %d %s", e.status, e.code)
}

// call sends in, unless it is nil, as JSON, and stores the answer in out. It
// ends with ctx, or by the timeout. Its error is a [*backendError] when there was an answer; it holds no key.
func (b *backend) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.secretKey())
	req.Header.Set("Clerk-API-Version", apiVersion)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "clerkproxy-auth")

	resp, err := b.client.Do(req)
	if err != nil {
		// The URL of a url.Error holds the nonce of a handshake.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return fmt.Errorf("calling the Backend API: %w", err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxBackendBytes))
	if err != nil {
		return fmt.Errorf("reading the Backend API's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var answer struct {
			Errors []struct {
				Code string `json:"code"`
			} `json:"errors"`
		}
		e := &backendError{status: resp.StatusCode}
		if json.Unmarshal(content, &answer) == nil && len(answer.Errors) > 0 {
			e.code = answer.Errors[0].Code
		}
		return e
	}
	if err := json.Unmarshal(content, out); err != nil {
		return errors.New("the Backend API's answer is not the expected JSON")
	}
	return nil
}
