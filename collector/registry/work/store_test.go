package work_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/registry/work"

	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"
)

func open(t *testing.T) (*work.Store, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registry.db")
	at := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	r, err := registry.Open(t.Context(), file, registry.Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r.Work(), file
}

func version(plan string) work.Version { return work.Version{By: "Lan", Note: "n", Plan: plan} }

func TestVersionsAreKept(t *testing.T) {
	s, file := open(t)
	ctx := t.Context()
	if v, err := s.Current(ctx); err != nil || v.ID != 0 {
		t.Fatal(v, err)
	}
	one, done, err := s.Add(ctx, version("a: 1"), 0)
	if err != nil || !done || one.ID != 1 || one.At.IsZero() || one.Hash == "" {
		t.Fatal(one, done, err)
	}
	if again, done, err := s.Add(ctx, version("a: 1"), 1); err != nil || done || again.ID != 1 {
		t.Error("the same again:", again, done, err)
	}
	if _, _, err := s.Add(ctx, version("a: 2"), 0); !errors.Is(err, work.ErrOvertaken) {
		t.Error(err)
	}
	if _, _, err := s.Add(ctx, work.Version{Plan: "x"}, -1); !errors.Is(err, work.ErrNobody) {
		t.Error(err)
	}
	two := version("a: 2")
	two.Values = "{}"
	if two, _, err = s.Add(ctx, two, 1); err != nil || two.ID != 2 {
		t.Fatal(two, err)
	}
	back := version(one.Plan)
	back.Restores = 1
	if back, _, err = s.Add(ctx, back, -1); err != nil || back.ID != 3 || back.Hash != one.Hash {
		t.Fatal(back, err)
	}
	for id, want := range map[int]work.Version{1: one, 2: two, 3: back} {
		if got, err := s.Version(ctx, id); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := s.Version(ctx, 9); !errors.Is(err, work.ErrUnknownVersion) {
		t.Error(err)
	}
	list, err := s.Versions(ctx, 2)
	if err != nil || len(list) != 2 || list[0].ID != 3 || list[0].Plan != "" || list[0].Restores != 1 {
		t.Error(list, err)
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE plan_versions SET plan = 'x'"); err == nil {
		t.Error("a version was changed")
	}
}

func TestOnlyOneOfManyIsNext(t *testing.T) {
	s, _ := open(t)
	var group errgroup.Group
	won := make(chan int, 20)
	for i := range 20 {
		group.Go(func() error {
			v, done, err := s.Add(t.Context(), version(fmt.Sprint("a: ", i)), 0)
			if done {
				won <- v.ID
			}
			if err != nil && !errors.Is(err, work.ErrOvertaken) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || len(won) != 1 {
		t.Error(len(won), err)
	}
}

func TestSecretsAreSetAnewUnderAnotherNumber(t *testing.T) {
	s, _ := open(t)
	ctx := t.Context()
	seen := map[int64]bool{}
	for i := range 3 {
		if err := s.SetSecret(ctx, "snmp", fmt.Sprint("sealed", i), "Lan"); err != nil {
			t.Fatal(err)
		}
		list, err := s.Secrets(ctx)
		if err != nil || len(list) != 1 || list[0].Sealed != fmt.Sprint("sealed", i) || seen[list[0].ID] {
			t.Fatal(list, err)
		}
		seen[list[0].ID] = true
		_, mark, err := s.Marks(ctx)
		if err != nil || mark != list[0].ID {
			t.Error(mark, err)
		}
		if i == 1 { // also after it was gone
			if err := s.RemoveSecret(ctx, "snmp"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.RemoveSecret(ctx, "other"); !errors.Is(err, work.ErrUnknownSecret) {
		t.Error(err)
	}
	if err := s.SetSecret(ctx, "../x", "y", "Lan"); err == nil {
		t.Error("a name that is none")
	}
}

func TestSealingAnewIsAllOrNothing(t *testing.T) {
	s, _ := open(t)
	ctx := t.Context()
	for _, name := range []string{"a", "b"} {
		if err := s.SetSecret(ctx, name, "old "+name, "Lan"); err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("broken")
	change := func(fail string) func(func(func(string, string) (string, error)) error) error {
		return func(reseal func(func(string, string) (string, error)) error) error {
			return reseal(func(name, sealed string) (string, error) {
				if name == fail {
					return "", broken
				}
				return "new " + name, nil
			})
		}
	}
	if _, err := s.Reseal(ctx, change("b")); !errors.Is(err, broken) {
		t.Error(err)
	}
	if list, _ := s.Secrets(ctx); list[0].Sealed != "old a" || list[1].Sealed != "old b" {
		t.Error(list)
	}
	before, _ := s.Secrets(ctx)
	if n, err := s.Reseal(ctx, change("")); err != nil || n != 2 {
		t.Error(n, err)
	}
	if list, _ := s.Secrets(ctx); list[0].Sealed != "new a" || list[1].Sealed != "new b" || list[0].ID != before[0].ID {
		t.Error(list)
	}
}
