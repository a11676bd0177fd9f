package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// release builds an archive for each platform, and SHA256SUMS of them.
func release(dir, out string, platforms []string) error {
	v, err := versionOf(dir)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "clerk-proxy-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	own := filepath.Join(work, "own")
	if err := build(dir, v, host(), own); err != nil {
		return err
	}
	files, err := shared(dir, v, own)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var sums strings.Builder
	for _, platform := range slices.Sorted(slices.Values(platforms)) {
		binary := filepath.Join(work, "binary")
		if err := build(dir, v, platform, binary); err != nil {
			return err
		}
		all := maps.Clone(files)
		if all["clerk-proxy"], err = os.ReadFile(binary); err != nil {
			return err
		}
		name := fmt.Sprintf("clerk-proxy_%s_%s", v, strings.ReplaceAll(platform, "/", "_"))
		packed, err := pack(name, all, v.time)
		if err != nil {
			return err
		}
		name += ".tar.gz"
		if err := os.WriteFile(filepath.Join(out, name), packed, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(packed), name)
		fmt.Println(filepath.Join(out, name))
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// pack makes a tar.gz of files below a directory of its own. All that could be
// another one elsewhere, such as owners, is left out.
func pack(top string, files contents, when time.Time) ([]byte, error) {
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     path.Join(top, name),
			Size:     int64(len(files[name])),
			Mode:     0o644,
			ModTime:  when,
			Format:   tar.FormatUSTAR,
		}
		if name == "clerk-proxy" {
			header.Mode = 0o755
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
