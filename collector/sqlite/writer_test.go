package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// hold keeps the writer busy until release is called, so that what is handed in meanwhile becomes one group.
func hold(t *testing.T, d *DB) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Write(context.Background(), func(context.Context, *sql.Conn) error { close(begun); <-end; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-begun
	return func() { close(end); wg.Wait() }
}

// waitFor waits until n jobs are in the queue.
func waitFor(t *testing.T, d *DB, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(d.writer.jobs) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d in the queue, want %d", len(d.writer.jobs), n)
		}
	}
}

// One of a group fails, one gives up, and the others are committed together.
func TestGroup(t *testing.T) {
	d := openNew(t)
	release := hold(t, d)
	gone, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := d.WriteDurable(t.Context(), insert(fmt.Sprintf("k%02d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		mine := errors.New("mine")
		err := d.Write(t.Context(), func(ctx context.Context, c *sql.Conn) error { return errors.Join(insert("undone")(ctx, c), mine) })
		if !errors.Is(err, mine) {
			t.Error("the error of the function is lost:", err)
		}
	})
	wg.Go(func() {
		if err := d.Write(gone, insert("late")); !errors.Is(err, context.Canceled) {
			t.Error("gave up and got:", err)
		}
	})
	waitFor(t, d, 22)
	cancel()
	release()
	wg.Wait()
	put(t, d, "last") // after the group
	all := keys(t, d)
	if len(all) != 22 || all[20] != "last" || all[21] != "late" {
		t.Error(all)
	}
}

// sum is a cache that adds numbers to a row.
type sum struct {
	conn   *sql.Conn
	add    int
	stores int
	forgot int
	broken error
	closed bool
}

func (s *sum) Store(ctx context.Context) error {
	if s.add == 0 {
		return s.broken
	}
	s.stores++
	_, err := s.conn.ExecContext(ctx, "INSERT INTO pairs (k, v) VALUES ('sum', ?) ON CONFLICT DO UPDATE SET v = v + excluded.v", s.add)
	s.add = 0
	return errors.Join(err, s.broken)
}
func (s *sum) Forget() { s.forgot++; s.add = 0 }
func (s *sum) Close()  { s.closed = true }

func openSum(t *testing.T) (*DB, *sum) {
	t.Helper()
	s := &sum{}
	o := options()
	o.Cache = func(_ context.Context, c *sql.Conn) (Cache, error) { s.conn = c; return s, nil }
	d, err := Open(t.Context(), t.TempDir()+"/test.db", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil || !s.closed {
			t.Error(err, s.closed)
		}
	})
	return d, s
}

// What many gather costs one write, and a function after them finds it.
func TestGather(t *testing.T) {
	d, s := openSum(t)
	add := func(context.Context) error { s.add++; return nil }
	release := hold(t, d)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := d.Gather(t.Context(), add); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, d, 50)
	release()
	wg.Wait()
	var v, stores int
	err := d.Write(t.Context(), func(ctx context.Context, c *sql.Conn) error {
		stores = s.stores
		return c.QueryRowContext(ctx, "SELECT v FROM pairs WHERE k = 'sum'").Scan(&v)
	})
	if err != nil || v != 50 || stores != 1 {
		t.Errorf("sum %d by %d writes, want 50 by 1 (%v)", v, stores, err)
	}
}

// A cache that can't store fails everybody in the group, and nothing of the group has happened.
func TestFailedTransaction(t *testing.T) {
	d, s := openSum(t)
	broken := errors.New("broken")
	release := hold(t, d)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Gather(t.Context(), func(context.Context) error { s.add, s.broken = 7, broken; return nil }); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	waitFor(t, d, 1)
	wg.Go(func() {
		if err := d.Write(t.Context(), insert("k")); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	waitFor(t, d, 2)
	release()
	wg.Wait()
	var forgot int
	if err := d.Gather(t.Context(), func(context.Context) error { s.broken, forgot, s.add = nil, s.forgot, 1; return nil }); err != nil {
		t.Fatal("after a transaction that failed:", err)
	}
	if all := keys(t, d); len(all) != 1 || all[0] != "sum" || forgot == 0 {
		t.Error(all, forgot)
	}
}

func TestClosed(t *testing.T) {
	d := openNew(t)
	put(t, d, "k")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var one int
	for what, err := range map[string]error{
		"Write": d.Write(t.Context(), insert("x")), "Gather": d.Gather(t.Context(), func(context.Context) error { return nil }),
		"Backup": d.Backup(t.Context(), t.TempDir()+"/b"), "read": d.Explain(d.Read().QueryRow("SELECT 1").Scan(&one)),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.Sync(); err != nil {
		t.Error(err)
	}
}
