package sqlite

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f with the file permissions of an ordinary user, also when the tests run as root.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // and never unlocked, so that the thread ends with the goroutine
			_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, 65534, 0, 0)
		}
		f()
	}()
	<-done
}

func TestReadOnly(t *testing.T) {
	base := t.TempDir()
	for p := base; p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil { // as it is made, only its owner can enter
			t.Fatal(err)
		}
	}
	closed := filepath.Join(base, "closed")
	if err := os.Mkdir(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(closed, "registry.db")
	asNobody(func() { wantError(t, tryOpen(path), path, "must own file and folder") })
	asNobody(func() {
		wantError(t, tryOpen(filepath.Join(closed, "new", "registry.db")), filepath.Join(closed, "new"), "can't make its folder")
	})
	if err := os.WriteFile(path, nil, 0o666); err == nil { // root may; then the file can be written, its folder can't
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		asNobody(func() { wantError(t, tryOpen(path), path, "must own the folder") })
	}
}
