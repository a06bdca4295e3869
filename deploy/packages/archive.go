package packages

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// windowsFiles are what the zip holds beside the program. Texts get the line ends of Windows and a byte order mark, without
// which PowerShell 5 and old editors take Vietnamese for Windows-1252.
var windowsFiles = []string{"install.ps1", "uninstall.ps1", "agent.yaml", "README-WINDOWS.txt"}

// zip makes the archive for Windows.
func (b *build) zip(t Target) error {
	folder := fmt.Sprintf("%s_%s_windows_%s", t.Program, b.Release.Packaged(), t.Arch)
	f, err := os.Create(filepath.Join(b.Dist, folder+".zip"))
	if err != nil {
		return err
	}
	defer f.Close()
	z := zip.NewWriter(f)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	add := func(name string, data []byte) error {
		h := &zip.FileHeader{Name: folder + "/" + name, Method: zip.Deflate, Modified: b.Release.Time}
		h.SetMode(0o644)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	}
	program, err := os.ReadFile(b.program(t))
	if err != nil {
		return err
	}
	if err := add(t.file(), program); err != nil {
		return err
	}
	for _, name := range windowsFiles {
		data, err := os.ReadFile(filepath.Join(b.Root, "deploy/packages/files/windows", name))
		if err != nil {
			return err
		}
		if err := add(name, forWindows(name, data)); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

func forWindows(name string, text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	if strings.HasSuffix(name, ".yaml") {
		return text // read by the agent, which wants none
	}
	return append([]byte("\ufeff"), text...)
}

// The user that the collector runs as in a container: any number that is nobody else's.
const containerUser = 10001

// image makes a container image that `docker load` and `podman load` take from a file: nothing is pulled, which is what a
// closed network needs. There is nothing in it but the program and its folders; the program carries its time zones.
func (b *build) image(t Target) error {
	program, err := os.ReadFile(b.program(t))
	if err != nil {
		return err
	}
	var layer bytes.Buffer
	tw := tar.NewWriter(&layer)
	entry := func(name string, mode int64, owner int, data []byte) error {
		h := &tar.Header{Name: name, Mode: mode, Uid: owner, Gid: owner, ModTime: b.Release.Time, Size: int64(len(data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err := tw.Write(data)
		return err
	}
	settings, err := os.ReadFile(filepath.Join(b.Root, "deploy/packages/files/collector/collector.yaml"))
	if err != nil {
		return err
	}
	for _, e := range []struct {
		name  string
		mode  int64
		owner int
		data  []byte
	}{
		{"etc/", 0o755, 0, nil},
		{"etc/communewatch/", 0o755, 0, nil},
		{"etc/communewatch/collector.yaml", 0o644, 0, settings},
		{"tmp/", 0o1777, 0, nil},
		{"usr/", 0o755, 0, nil},
		{"usr/bin/", 0o755, 0, nil},
		{"usr/bin/" + t.file(), 0o755, 0, program},
		{"var/", 0o755, 0, nil},
		{"var/lib/", 0o755, 0, nil},
		{"var/lib/communewatch-collector/", 0o700, containerUser, nil},
	} {
		if err := entry(e.name, e.mode, e.owner, e.data); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	config, err := json.Marshal(imageConfig(t, b.Release, digest(layer.Bytes())))
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config":   digest(config) + ".json",
		"RepoTags": []string{t.Program + ":" + strings.NewReplacer("~", "-", "+", "-").Replace(b.Release.Packaged())},
		"Layers":   []string{digest(layer.Bytes()) + "/layer.tar"},
	}})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s_%s_container_%s%s.tar.gz", t.Program, b.Release.Packaged(), t.Arch, t.variant())
	f, err := os.Create(filepath.Join(b.Dist, name))
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewWriterLevel(f, gzip.DefaultCompression) // its header has no time and no name unless they are set
	if err != nil {
		return err
	}
	tw = tar.NewWriter(gz)
	for _, part := range []struct {
		name string
		data []byte
	}{
		{digest(config) + ".json", config},
		{digest(layer.Bytes()) + "/layer.tar", layer.Bytes()},
		{"manifest.json", manifest},
	} {
		if err := entry(part.name, 0o644, 0, part.data); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	if err := gz.Close(); err != nil {
		return err
	}
	return f.Close()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// imageConfig is how the image is run, in the words of the OCI image specification.
func imageConfig(t Target, r Release, layer string) map[string]any {
	platform := map[string]any{
		"created":      r.Time.Format(time.RFC3339),
		"architecture": t.Arch,
		"os":           t.OS,
		"config": map[string]any{
			"User":         fmt.Sprintf("%d:%d", containerUser, containerUser),
			"Entrypoint":   []string{"/usr/bin/" + t.file()},
			"Cmd":          []string{"serve", "--config", "/etc/communewatch/collector.yaml"},
			"ExposedPorts": map[string]any{"8787/tcp": struct{}{}},
			"Volumes":      map[string]any{"/var/lib/communewatch-collector": struct{}{}},
			"WorkingDir":   "/",
			"Labels":       map[string]string{"org.opencontainers.image.version": r.Version},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + layer}},
		"history": []map[string]any{{"created": r.Time.Format(time.RFC3339), "created_by": "make packages"}},
	}
	if t.ARM != "" {
		platform["variant"] = t.variant()
	}
	return platform
}
