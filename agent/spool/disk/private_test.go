//go:build unix

package disk

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPrivateIsForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "identity")
	name := filepath.Join(dir, "key")
	d := Disk{Private: true}
	// One left by a crash, or laid there by somebody who would like to read what follows.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	uid := os.Geteuid()
	if uid == 0 {
		uid = 12345 // the service's user
		if err := os.Chown(filepath.Dir(dir), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.ReplaceFile(name, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+TmpSuffix, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := d.ReplaceFile(name, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Read(name, 10); err != nil || string(got) != "two" {
		t.Errorf("%q, %v", got, err)
	}
	for file, want := range map[string]uint32{dir: 0o700, name: 0o600} {
		var st unix.Stat_t
		if err := unix.Stat(file, &st); err != nil {
			t.Fatal(err)
		}
		if mode := uint32(st.Mode) & 0o777; mode != want || int(st.Uid) != uid {
			t.Errorf("%s: mode %o of user %d, want %o of %d", file, mode, st.Uid, want, uid)
		}
	}
}

// What replaces a file leaves the old one where it fails.
func TestFailedReplacementLeavesTheOldOne(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename"} {
		name := filepath.Join(t.TempDir(), "set")
		d := Disk{Private: true}
		if err := d.ReplaceFile(name, []byte("old")); err != nil {
			t.Fatal(err)
		}
		d.Fault = func(o, _ string) error {
			if o == op {
				return unix.ENOSPC
			}
			return nil
		}
		if err := d.ReplaceFile(name, []byte("new")); err == nil {
			t.Errorf("%s: the fault was not told", op)
		}
		d.Fault = nil
		if got, err := d.Read(name, 10); err != nil || string(got) != "old" {
			t.Errorf("%s: %q, %v", op, got, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 1 {
			t.Errorf("%s: %v was left behind", op, left)
		}
	}
}
