package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// wantError checks that an error names the file and the fix.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q says nothing of %q", err, p)
		}
	}
}

// pragma sets something of the connection that writes.
func pragma(t *testing.T, r *Registry, text string) {
	t.Helper()
	err := r.db.Write(t.Context(), func(ctx context.Context, c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "PRAGMA "+text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackupWhileWriting(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for seq := uint64(1); ctx.Err() == nil; seq++ {
			if err := r.Take(context.Background(), Receipt{Site: "s1", Agent: "a", Boot: "b", Seq: seq, Points: 1, ReceivedAt: t0}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer wg.Wait()
	defer stop()
	dir := t.TempDir()
	var last uint64
	for i := range 5 {
		if err := r.Take(t.Context(), Receipt{Site: "s1", Agent: "z", Boot: "b", Seq: uint64(i + 1), ReceivedAt: t0}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprint("b", i))
		if err := r.Backup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
		err := r.Backup(t.Context(), file)
		wantError(t, err, file, "another name")

		accounts, err := open(t, file).Accounts(t.Context(), "")
		if err != nil || len(accounts) == 0 {
			t.Fatal(accounts, err)
		}
		for _, a := range accounts {
			if a.Agent == "z" && a.Received != uint64(i+1) || a.Agent == "a" && (a.Missing != 0 || a.Points != a.Received || a.Received < last) {
				t.Errorf("backup %d has %+v", i, a)
			}
			if a.Agent == "a" {
				last = a.Received
			}
		}
	}
	wantError(t, r.Backup(t.Context(), filepath.Join(dir, "none", "b")), "folder must exist")
	if left, _ := filepath.Glob(filepath.Join(dir, ".*partial*")); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	r := openNew(t)
	pragma(t, r, "busy_timeout = 20")
	other, err := sql.Open("sqlite", r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	rc := Receipt{Site: "s1", Agent: "a", Boot: "b", Seq: 1, ReceivedAt: t0}
	wantError(t, r.Take(t.Context(), rc), r.path, "locked by another program")
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := r.Take(t.Context(), rc); err != nil {
		t.Error("after the lock was gone:", err)
	}
}

// A full disk fails those who write now, loses nothing that was acknowledged, and is over when there is room again.
func TestDiskFull(t *testing.T) {
	r := openNew(t)
	ctx := t.Context()
	pragma(t, r, "max_page_count = 60")
	var taken int
	var err error
	for err == nil && taken < 100_000 {
		if err = r.Take(ctx, Receipt{Site: "s1", Agent: "a", Boot: fmt.Sprint("b", taken), Seq: 1, ReceivedAt: t0}); err == nil {
			taken++
		}
	}
	wantError(t, err, r.path, "no room left", "free some space")
	accounts, err := r.Accounts(ctx, "s1")
	if err != nil || len(accounts) != taken {
		t.Errorf("%d receipts taken, %d in the file, %v", taken, len(accounts), err)
	}
	pragma(t, r, "max_page_count = 100000")
	if err := r.Take(ctx, Receipt{Site: "s1", Agent: "a", Boot: fmt.Sprint("b", taken), Seq: 1, ReceivedAt: t0}); err != nil {
		t.Error("with room again:", err)
	}
}

func TestClosed(t *testing.T) {
	r := openNew(t)
	importSites(t, r, "s1")
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	_, sitesErr := r.Sites(ctx, t0)
	_, _, tokenErr := r.CreateToken(ctx, Token{Kind: KindAgent, Site: "s1"})
	for what, err := range map[string]error{
		"Take": r.Take(ctx, Receipt{Site: "s1", ReceivedAt: t0}), "Sites": sitesErr, "CreateToken": tokenErr,
		"AppendChanges": r.AppendChanges(ctx, []Change{{Site: "s1"}}), "Backup": r.Backup(ctx, filepath.Join(t.TempDir(), "b")),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.Sync(ctx); err != nil {
		t.Error(err)
	}
}

// Whatever is handed in while the registry closes is either committed or refused.
func TestCloseWhileTaking(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	taken := make([]uint64, 16)
	var wg sync.WaitGroup
	started := make(chan struct{}, len(taken))
	for i := range taken {
		wg.Go(func() {
			for seq := uint64(1); ; seq++ {
				err := r.Take(context.Background(), Receipt{Site: "s1", Agent: fmt.Sprintf("a%02d", i), Boot: "b", Seq: seq, ReceivedAt: t0})
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if taken[i] = seq; seq == 3 {
					started <- struct{}{}
				}
			}
		})
	}
	for range taken {
		select {
		case <-started:
		case <-time.After(10 * time.Second):
			t.Fatal("takes no receipts")
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	accounts, err := open(t, path).Accounts(t.Context(), "")
	if err != nil || len(accounts) != len(taken) {
		t.Fatal(accounts, err)
	}
	for i, a := range accounts {
		if a.Received != taken[i] {
			t.Errorf("%s: %d acknowledged, %d in the file", a.Agent, taken[i], a.Received)
		}
	}
}
