package certificate

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clerkproxy/clerkproxy"
)

// Config says where certificates come from: files, ACME or both.
type Config struct {
	// Files are certificates of one's own. A client gets the first that has the
	// name it asks for, exactly or by a wildcard (RFC 6125 §6.4.3), and whose
	// algorithm it supports. The first of all is for clients that name no host
	// or one that there is no certificate for.
	Files []Pair

	// ACME has an authority issue certificates. Nil: none.
	ACME *ACME
}

// A Pair names the files of a certificate and its key, both PEM. They may be one
// file. Cert holds the server's certificate and, after it, those of the
// authorities in between, each followed by its issuer's.
type Pair struct{ Cert, Key string }

// ACME configures how an authority issues certificates (RFC 8555). Using it means
// agreeing to the authority's terms of service.
type ACME struct {
	// Hosts are the names to have certificates for, one certificate each. There
	// are no wildcards, which take a challenge by DNS. A host for which Files
	// have a certificate is not asked for.
	Hosts []string

	// Email is where the authority writes to about the account. Empty: nowhere.
	Email string

	// Directory is the URL of the authority's directory, or "staging" for that
	// of Let's Encrypt's staging environment, whose certificates browsers do not
	// trust. Default: Let's Encrypt's.
	Directory string

	// CAFile is a PEM file with the authorities to trust for Directory itself,
	// for one in a private network. Empty: the system's.
	CAFile string

	// EABKeyID and EABMACKeyFile bind the account to one that the authority
	// knows already (RFC 8555 §7.3.4): the key's id, and a file that holds the
	// key as the authority gives it, in base64url. Empty: no binding.
	EABKeyID, EABMACKeyFile string

	// Storage is the directory for accounts, keys and certificates; it is made
	// if it is missing, for this user alone. Several machines that share it, and
	// agree on the time, issue each certificate once and answer each other's
	// challenges. Default: clerk-proxy in $XDG_DATA_HOME or else in /var/lib.
	Storage string

	// NoHTTP01 does without the challenge that is answered by
	// [Manager.HTTPHandler] on port 80, NoTLSALPN01 without the one that is
	// answered by [Manager.TLSConfig] on port 443.
	NoHTTP01, NoTLSALPN01 bool

	// CheckInterval is how often certificates are looked at for whether they are
	// due for renewal: two thirds into their life, or when the authority says so
	// (RFC 9773). It must be a small part of that life. Default: 10 minutes.
	CheckInterval time.Duration
}

// maxFile is far more than a certificate or a key: a larger file is another one.
const maxFile = 1 << 20

// problems are what is wrong with a Config.
type problems []error

func (p *problems) add(field, problem string) {
	*p = append(*p, &clerkproxy.ConfigError{Field: field, Problem: problem})
}

// Check reports what is wrong, as [New] does, and leaves nothing behind: a storage
// that is not there yet is not made.
func (c Config) Check() error {
	_, _, _, err := c.check(false)
	return err
}

// Lacking are those of some hosts that there is going to be no certificate for. A
// host may be a wildcard, for which a certificate with that wildcard is one. The
// Config has to be good.
func (c Config) Lacking(hosts []string) (lacking []string) {
	files, acme, _, err := c.check(false)
	if err != nil {
		return nil
	}
	for _, host := range hosts {
		if !files.cover(host) && (acme == nil || !slices.Contains(acme.names, strings.ToLower(host))) {
			lacking = append(lacking, host)
		}
	}
	return lacking
}

// check loads everything that a Config names, and makes the storage if it is told
// to. Its error joins all problems.
func (c Config) check(makeStorage bool) (files files, acme *settings, warnings []string, err error) {
	var found problems
	if len(c.Files) == 0 && c.ACME == nil {
		found.add("Files", "there is no certificate: give a certificate and its key, or use ACME")
	}
	for i, each := range c.Files {
		pair, warns := each.load(i, &found)
		files, warnings = append(files, pair), append(warnings, warns...)
	}
	if c.ACME != nil {
		var warns []string
		acme, warns = c.ACME.check(makeStorage, &found)
		warnings = append(warnings, warns...)
	}
	return files, acme, warnings, errors.Join(found...)
}

// DefaultStorage is the directory for what comes by ACME if none is named.
func DefaultStorage() string {
	return filepath.Join(cmp.Or(os.Getenv("XDG_DATA_HOME"), "/var/lib"), "clerk-proxy")
}

// readFile reads a small file, and reports whether every user may.
func readFile(name string) (content []byte, shared bool, err error) {
	// What is looked at again and again has to be there again and again. A pipe,
	// besides, could keep whoever opens it waiting.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, false, fmt.Errorf("%s is a pipe or a device, which can be read but once; write it to a file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, false, fmt.Errorf("%s cannot be read: %w", name, bare(err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("%s cannot be read: %w", name, bare(err))
	}
	content, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%s cannot be read: %w", name, bare(err))
	case len(content) > maxFile:
		return nil, false, fmt.Errorf("%s is larger than %d bytes; it should hold nothing but PEM", name, maxFile)
	case len(strings.TrimSpace(string(content))) == 0:
		return nil, false, fmt.Errorf("%s is empty", name)
	}
	return content, info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0, nil
}

// bare is an error without the name of the file, which the message gives.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func sharedKey(name string) string {
	return name + " holds a key and can be read by every user of this machine; chmod 600 it"
}
