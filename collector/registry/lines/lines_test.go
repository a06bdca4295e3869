package lines_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/registry/lines"
	"communewatch/collector/reports"
	"communewatch/probes"

	"golang.org/x/sync/errgroup"
)

func open(t *testing.T, now func() time.Time) *lines.Store {
	t.Helper()
	r, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r.Lines()
}

func contract(site, provider, from, to string) reports.Agreement {
	return reports.Agreement{Site: site, Layer: probes.LayerBroadband, Contract: reports.Contract{Provider: provider, From: from, To: to, DownMbps: 300}}
}

func TestContractsKeepTheirHistory(t *testing.T) {
	s, ctx := open(t, nil), t.Context()
	list := []reports.Agreement{contract("s1", "VNPT", "2025-01-01", "2025-12-31"), contract("s1", "FPT", "2026-01-01", "")}
	if done, err := s.Import(ctx, list, "a.xlsx", "Lan", true); err != nil || len(done.Added) != 2 {
		t.Fatal(done, err)
	}
	if got, err := s.Agreements(ctx); err != nil || len(got) != 0 {
		t.Fatal("a dry run wrote", got, err)
	}
	if _, err := s.Import(ctx, list, "a.xlsx", "Lan", false); err != nil {
		t.Fatal(err)
	}
	list[1].Contract.Provider = "Viettel"
	done, err := s.Import(ctx, list, "b.xlsx", "Minh", false)
	if err != nil || len(done.Added) != 0 || len(done.Changed) != 1 || done.Unchanged != 1 {
		t.Fatal(done, err)
	}
	got, err := s.Agreements(ctx)
	if err != nil || len(got) != 2 || got[0].Contract.Provider != "VNPT" || got[1] != list[1] {
		t.Fatal(got, err)
	}
	all, err := s.Contracts(ctx, true)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	if old := all[1]; old.Contract.Provider != "FPT" || old.Withdrawn.IsZero() || old.WithdrawnBy != "Minh" || old.By != "Lan" || old.File != "a.xlsx" {
		t.Errorf("%+v", old)
	}

	if err := s.Withdraw(ctx, "s1", probes.LayerBroadband, "2026-01-01", "Lan"); err != nil {
		t.Fatal(err)
	}
	if err := s.Withdraw(ctx, "s1", probes.LayerBroadband, "2026-01-01", "Lan"); !errors.Is(err, lines.ErrUnknown) {
		t.Error(err)
	}
	if got, _ := s.Agreements(ctx); len(got) != 1 {
		t.Error(got)
	}
}

func TestWhatIsNoContract(t *testing.T) {
	s, ctx := open(t, nil), t.Context()
	if _, err := s.Import(ctx, []reports.Agreement{contract("s1", "VNPT", "2026-01-01", "2026-06-30")}, "a", "Lan", false); err != nil {
		t.Fatal(err)
	}
	for want, list := range map[string][]reports.Agreement{
		"in force on 2026-06-30": {contract("s1", "FPT", "2026-06-30", "")},
		"in force on 2027-01-01": {contract("s1", "FPT", "2026-08-01", "2027-01-01"), contract("s1", "FPT", "2027-01-01", "")},
		"is not a day":           {contract("s1", "FPT", "tomorrow", "")},
		"site":                   {contract("S 1", "FPT", "", "")},
		"not UTF-8":              {contract("s1", "\xff", "2027-01-01", "")},
	} {
		for _, dryRun := range []bool{true, false} {
			if _, err := s.Import(ctx, list, "b", "Lan", dryRun); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
	if _, err := s.Import(ctx, nil, "b", "", false); !errors.Is(err, lines.ErrNobody) {
		t.Error(err)
	}
	if got, _ := s.Agreements(ctx); len(got) != 1 {
		t.Errorf("what was refused is there: %v", got)
	}
}

var t0 = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func span(from, to int) reports.Span {
	return reports.Span{From: t0.Add(time.Duration(from) * time.Minute), To: t0.Add(time.Duration(to) * time.Minute)}
}

func minutes(spans []reports.Span) string {
	var out []string
	for _, s := range spans {
		out = append(out, fmt.Sprintf("%v-%v", s.From.Sub(t0).Minutes(), s.To.Sub(t0).Minutes()))
	}
	return strings.Join(out, " ")
}

func ran(t *testing.T, s *lines.Store, site, agent string, from, to int, gaps ...reports.Span) {
	t.Helper()
	w := span(from, to)
	if err := s.Ran(t.Context(), site, agent, w.From, w.To, gaps); err != nil {
		t.Fatal(err)
	}
}

func off(t *testing.T, s *lines.Store, site string, from, to int) string {
	t.Helper()
	w := span(from, to)
	all, err := s.Off(t.Context(), w.From, w.To)
	if err != nil {
		t.Fatal(err)
	}
	return minutes(all[site])
}

func TestASiteIsOffWhileAllItsAgentsAre(t *testing.T) {
	s := open(t, nil)
	ran(t, s, "s1", "a", 0, 100, span(20, 60))
	ran(t, s, "s1", "a", 0, 100, span(20, 60)) // the same again
	if got := off(t, s, "s1", 0, 100); got != "20-60" {
		t.Error(got)
	}
	if got := off(t, s, "s1", 30, 40); got != "30-40" {
		t.Error("cut to what was asked for:", got)
	}
	ran(t, s, "s1", "b", 0, 50, span(40, 50)) // ran until 40, and was never heard of again
	if got := off(t, s, "s1", 0, 100); got != "40-60" {
		t.Error("another agent ran:", got)
	}
	ran(t, s, "s2", "a", 0, 100)
	if got := off(t, s, "s2", 0, 100); got != "" {
		t.Error("a site that always ran:", got)
	}
}

// Whatever comes late and in whatever order, what is kept is what all of it says together.
func TestAbsencesDoNotDependOnTheOrder(t *testing.T) {
	// The agent ran 0-30, 60-130 and 200-240; each piece of news is an hour's reports with the report before them.
	type piece struct {
		from, to int
		gaps     []reports.Span
	}
	news := []piece{{0, 29, nil}, {60, 119, nil}, {60, 129, nil}, {200, 239, nil}}
	early := []piece{{29, 119, []reports.Span{span(29, 60)}}, {119, 239, []reports.Span{span(119, 200)}}} // before 120-129 had come
	random := rand.New(rand.NewPCG(1, 2))
	s := open(t, nil)
	for round := range 8 {
		site := fmt.Sprint("s", round)
		first, rest := append(early[:2:2], news[0], news[3]), []piece{news[1], news[2]}
		random.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
		random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		for _, p := range append(first, rest...) {
			ran(t, s, site, "a", p.from, p.to, p.gaps...)
		}
		if got := off(t, s, site, 0, 300); got != "29-60 129-200" {
			t.Fatal(got)
		}
	}
}

func TestOldAbsencesGo(t *testing.T) {
	now := t0
	s := open(t, func() time.Time { return now })
	ran(t, s, "s1", "a", 0, 100, span(20, 60))
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := off(t, s, "s1", 0, 100); got != "20-60" {
		t.Fatal(got)
	}
	now = now.AddDate(6, 0, 0)
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := off(t, s, "s1", 0, 100); got != "" {
		t.Error(got)
	}
}

func TestMadeUpAgentsAreNotRemembered(t *testing.T) {
	s := open(t, nil)
	ran(t, s, "s1", "real", 0, 100, span(20, 60))
	var group errgroup.Group // at once, so that they share transactions
	for i := range 300 {
		group.Go(func() error {
			return s.Ran(t.Context(), "s1", fmt.Sprint("x", i), span(200, 300).From, span(200, 300).To, []reports.Span{span(220, 260)})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	ran(t, s, "s1", "real", 300, 400, span(320, 360))
	if got := off(t, s, "s1", 0, 190); got != "20-60" {
		t.Error(got)
	}
}
