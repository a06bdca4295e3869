package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAFileIsThereAsAWholeOrNotAtAll(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "rename", "syncdir"} {
		t.Run(op, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "batch")
			d := Disk{Fault: func(o, _ string) error {
				if o == op {
					return syscall.ENOSPC
				}
				return nil
			}}
			if err := d.WriteFile(name, []byte("data")); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the fault was not told: %v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%s was left behind", left[0].Name())
			}
			d.Fault = nil
			if err := d.WriteFile(name, []byte("data")); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Read(name, 4); err != nil || string(got) != "data" {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}

func TestReadIsBounded(t *testing.T) {
	var d Disk
	name := filepath.Join(t.TempDir(), "batch")
	if err := d.WriteFile(name, []byte("12345")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Read(name, 4); !errors.Is(err, ErrDamaged) {
		t.Errorf("five bytes where four are the most: %v", err)
	}
	if _, err := d.Read(name+"x", 4); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestALockIsHeldOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	_ = first.Close()
	again, err := Lock(name)
	if err != nil {
		t.Fatalf("closing did not give it back: %v", err)
	}
	_ = again.Close()
}
