package emulator

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

// maxAsset is the largest file that is served.
const maxAsset = 32 << 20

// packages are the npm packages that are installed below a directory, and what
// has been read and compressed of them.
type packages struct {
	directory string

	mu     sync.Mutex
	assets map[string]*asset
}

// asset is one file of one version, which never changes: it is read and
// compressed once for each encoding, and kept.
type asset struct {
	load sync.Once
	err  error
	body []byte
	hash string

	brotli, gzip compressed
}

type compressed struct {
	once sync.Once
	body []byte
}

func newPackages(directory string) *packages {
	return &packages{directory: directory, assets: map[string]*asset{}}
}

// npm serves /npm/@clerk/<package>@<version>/<file>. An exact version is served
// for ever; a major version, a range or a tag redirects to the installed version
// that it stands for. The Location is a path alone, so that a proxy has to put
// its own path in front of it.
func (s *Server) npm(w http.ResponseWriter, r *http.Request) {
	scope, file := r.PathValue("scope"), r.PathValue("file")
	name, wanted, _ := strings.Cut(r.PathValue("package"), "@")
	if s.packages.directory == "" {
		s.writeError(w, newError(http.StatusNotFound, errNotFound.code,
			"The npm packages are not installed: run npm install @clerk/clerk-js @clerk/ui and give the emulator the directory that then holds node_modules."), nil)
		return
	}
	if scope != "@clerk" || !filepath.IsLocal(name) || !filepath.IsLocal(file) {
		s.writeError(w, errNotFound, nil)
		return
	}
	installed, err := s.packages.version(scope, name)
	if err != nil {
		s.writeError(w, newError(http.StatusNotFound, errNotFound.code, fmt.Sprintf("The npm package %s/%s is not installed.", scope, name)), nil)
		return
	}
	if !satisfies(installed, wanted) {
		s.writeError(w, newError(http.StatusNotFound, errNotFound.code, fmt.Sprintf("The installed version of %s/%s is %s.", scope, name, installed)), nil)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if wanted != installed {
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("Location", "/npm/"+scope+"/"+name+"@"+installed+"/"+file)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	found, err := s.packages.asset(scope, name, installed, file)
	if err != nil {
		w.Header().Del("Access-Control-Allow-Origin")
		s.writeError(w, errNotFound, nil)
		return
	}
	found.serve(w, r, file)
}

// version is the installed version of a package.
func (p *packages) version(scope, name string) (string, error) {
	encoded, err := p.read(filepath.Join(scope, name, "package.json"))
	if err != nil {
		return "", err
	}
	var manifest struct{ Version string }
	if err := json.Unmarshal(encoded, &manifest); err != nil {
		return "", err
	}
	if manifest.Version == "" {
		return "", errors.New("package.json names no version")
	}
	return manifest.Version, nil
}

// read reads a file below node_modules and never outside it: os.Root follows
// neither dots nor links out.
func (p *packages) read(name string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Join(p.directory, "node_modules"))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxAsset {
		return nil, errors.New("not a file to serve")
	}
	return io.ReadAll(file)
}

// satisfies reports whether the installed version is one that the wanted version,
// range or tag stands for: nothing, latest, 6, 6.40, ^6.1.0, ~6.40.0, 6.x or 6.40.0.
func satisfies(installed, wanted string) bool {
	if wanted == "" || wanted == "latest" || wanted == installed {
		return true
	}
	parts := strings.Split(strings.TrimLeft(wanted, "^~"), ".")
	switch {
	case strings.HasPrefix(wanted, "^"):
		parts = parts[:1]
	case strings.HasPrefix(wanted, "~") && len(parts) > 2:
		parts = parts[:2]
	case len(parts) > 2 && parts[2] != "x" && parts[2] != "*":
		return false // another exact version
	}
	have := strings.Split(installed, ".")
	for i, part := range parts {
		if part == "x" || part == "*" {
			return i > 0
		}
		if i >= len(have) || part != have[i] {
			return false
		}
	}
	return true
}

func (p *packages) asset(scope, name, version, file string) (*asset, error) {
	key := scope + "/" + name + "@" + version + "/" + file
	p.mu.Lock()
	found := p.assets[key]
	if found == nil {
		found = new(asset)
		p.assets[key] = found
	}
	p.mu.Unlock()

	found.load.Do(func() {
		found.body, found.err = p.read(filepath.Join(scope, name, filepath.FromSlash(file)))
		sum := sha256.Sum256(found.body)
		found.hash = hex.EncodeToString(sum[:8])
	})
	if found.err != nil {
		// It may be installed later, and names that do not exist are many.
		p.mu.Lock()
		delete(p.assets, key)
		p.mu.Unlock()
		return nil, found.err
	}
	return found, nil
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request, file string) {
	body, encoding := a.body, acceptedEncoding(r.Header.Values("Accept-Encoding"))
	switch encoding {
	case "br":
		body = a.brotli.of(a.body, func(w io.Writer) io.WriteCloser { return brotli.NewWriterLevel(w, 5) })
	case "gzip":
		body = a.gzip.of(a.body, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	}
	header := w.Header()
	header.Set("Content-Type", contentType(file))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Vary", "Accept-Encoding")
	// Each encoding is a representation of its own (RFC 9110 §8.8.3.3).
	tag := `"` + a.hash + "-" + encoding + `"`
	header.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		header.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if encoding != "identity" {
		header.Set("Content-Encoding", encoding)
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

func (c *compressed) of(plain []byte, writer func(io.Writer) io.WriteCloser) []byte {
	c.once.Do(func() {
		var buf bytes.Buffer
		w := writer(&buf)
		w.Write(plain)
		w.Close()
		c.body = buf.Bytes()
	})
	return c.body
}

// matches weakly compares an entity tag with If-None-Match (RFC 9110 §13.1.2).
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
			if one == tag || one == "*" {
				return true
			}
		}
	}
	return false
}

// acceptedEncoding chooses br, gzip or identity by weight (RFC 9110 §12.5.3); of
// equals the smallest is best.
func acceptedEncoding(fields []string) string {
	weights := map[string]float64{}
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			coding, parameters, _ := strings.Cut(one, ";")
			weight := 1.0
			if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
				var err error
				if weight, err = strconv.ParseFloat(q, 64); err != nil {
					weight = 0
				}
			}
			weights[strings.ToLower(strings.TrimSpace(coding))] = weight
		}
	}
	best, bestWeight := "identity", 0.0
	for _, coding := range []string{"br", "gzip"} {
		weight, named := weights[coding]
		if !named {
			weight = weights["*"]
		}
		if weight > bestWeight {
			best, bestWeight = coding, weight
		}
	}
	if weight, named := weights["identity"]; named && weight > bestWeight {
		return "identity"
	}
	return best
}

// contentType does not ask the system, whose tables differ.
func contentType(file string) string {
	switch path.Ext(file) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "text/plain; charset=utf-8"
	}
}
