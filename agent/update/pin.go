package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"communewatch/agent/spool/disk"
	"communewatch/probes/release"
)

// pinFile has the keys that were pinned on this machine, beside its identity, where the agent alone may write.
const pinFile = "releases.pub"

// Pin switches updates on for a machine whose settings say nothing of them, with the keys given; without keys, off again.
// It takes effect when the agent starts.
func Pin(folder string, keys []string) error {
	file := filepath.Join(folder, pinFile)
	if len(keys) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if _, err := release.ParseKeys(keys); err != nil {
		return err
	}
	d := disk.Disk{Private: true}
	if err := d.Mkdir(folder); err != nil {
		return err
	}
	return d.ReplaceFile(file, []byte(strings.Join(keys, "\n")+"\n"))
}

// Pinned are the keys that were pinned; none where none were.
func Pinned(folder string) ([]string, error) {
	keys, err := ReadKeys(filepath.Join(folder, pinFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		_, err = release.ParseKeys(keys)
	}
	if err != nil {
		return nil, fmt.Errorf("the keys that were pinned for updates can't be used: %w", err)
	}
	return keys, nil
}

// ReadKeys reads a file of public keys, one a line, such as those that communewatch-release and minisign write.
func ReadKeys(file string) (keys []string, err error) {
	data, err := (&disk.Disk{}).Read(file, maxKeysFile)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "untrusted comment:") {
			keys = append(keys, line)
		}
	}
	return keys, nil
}
