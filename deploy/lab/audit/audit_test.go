package audit

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"communewatch/agent/spool"
	"communewatch/collector"
	"communewatch/collector/registry"
	"communewatch/collector/store/embedded"
	"communewatch/deploy/lab"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// run is one run of a check: a row of its own kind and its verdict.
type run struct {
	target string
	at     time.Time
	took   float64 // seconds
}

func (r run) points(site string) []probes.Point {
	tags := probes.Tags{{Key: "agent", Value: "pc-1"}, {Key: "path", Value: "lan"}, {Key: "site", Value: site}, {Key: "target", Value: r.target}}
	verdict := append(probes.Tags{{Key: "agent", Value: "pc-1"}, {Key: "kind", Value: "tcp"}, {Key: "layer", Value: "lan"}}, tags[1:]...)
	return []probes.Point{
		{Measurement: "tcp", Tags: tags, Time: r.at, Fields: []probes.Field{probes.Float("connect_seconds", 0.01)}},
		{Measurement: "check", Tags: verdict, Time: r.at, Fields: []probes.Field{probes.Bool("up", true), probes.Float("took_seconds", r.took)}},
	}
}

// house is a lab's folder, made by hand: what the agent of one site took, and what the store holds.
type house struct {
	t    *testing.T
	dir  string
	cfg  collector.Config
	site string
}

func build(t *testing.T) *house {
	t.Helper()
	// The path of the collector's socket has room for some hundred bytes, and a TempDir bears the test's whole name.
	dir, err := os.MkdirTemp("", "cw-audit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &house{t: t, dir: dir}
	p, err := lab.Prepare(t.Context(), lab.Config{Dir: h.dir, Listen: "127.0.0.1:1", Sites: 1, Block: 100, Interval: 15 * time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.site = p.Sites()[0]
	if h.cfg, err = collector.ReadConfig(filepath.Join(h.dir, "collector", "collector.yaml")); err != nil {
		t.Fatal(err)
	}
	h.take("boot1", 1)
	h.keep()
	return h
}

// take writes runs into the ledger.
func (h *house) take(boot string, clock int, runs ...run) {
	h.t.Helper()
	var b strings.Builder
	for _, r := range runs {
		for _, p := range r.points(h.site) {
			fmt.Fprintf(&b, "%s %d %d %s\n", boot, clock, p.Time.UnixMilli(), lab.SeriesName(p.Measurement, p.Tags))
		}
	}
	h.write(b.String())
}

func (h *house) write(text string) {
	h.t.Helper()
	f, err := os.OpenFile(filepath.Join(h.dir, "ledger", h.site), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		h.t.Fatal(err)
	}
}

// keep puts runs into the store.
func (h *house) keep(runs ...run) {
	h.t.Helper()
	var lines []byte
	for _, r := range runs {
		for _, p := range r.points(h.site) {
			lines = wire.Append(lines, &p)
		}
	}
	rows, bad := wire.NewParser(wire.DefaultLimits()).Parse(lines, time.Nanosecond, 0)
	if len(bad) > 0 {
		h.t.Fatal(bad)
	}
	st, err := embedded.Open(embedded.Options{Dir: h.cfg.StoreDir(), Retention: h.cfg.Retention, LateWindow: h.cfg.OutOfOrder, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := st.Append(h.t.Context(), rows); err != nil && len(rows) > 0 {
		h.t.Error(err)
	}
	if err := st.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// agent is the spool of the site's agent.
func (h *house) agent(boot string) *spool.Spool {
	h.t.Helper()
	dir := filepath.Join(h.dir, "agents", h.site, "state", "spool")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		h.t.Fatal(err)
	}
	s, err := spool.Open(spool.Options{Dir: dir, Boot: boot, MinFree: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// spool puts runs into a spool, one batch in the open file.
func (h *house) spool(s *spool.Spool, clock int, runs ...run) {
	h.t.Helper()
	var lines []byte
	for _, r := range runs {
		for _, p := range r.points(h.site) {
			lines = wire.Append(lines, &p)
		}
	}
	if err := s.Append(clock, lines); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) shift(boot string, clock int, by time.Duration) {
	h.t.Helper()
	reg, err := registry.Open(h.t.Context(), h.cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	defer reg.Close()
	if _, err := reg.SetClockShift(h.t.Context(), registry.ClockID{Site: h.site, Agent: "pc-1", Boot: boot, Clock: clock}, by); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) audit(within time.Duration) Report {
	h.t.Helper()
	r, err := Run(h.t.Context(), h.dir, within, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// runs are n runs of a check, ten seconds apart, the last one a minute ago.
func runs(n int) (out []run) {
	last := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	for i := range n {
		out = append(out, run{"router", last.Add(time.Duration(i-n+1) * 10 * time.Second), 0.001 * float64(i+1)})
	}
	return out
}

// TestAuditFindsWhatIsWrong tampers with a lab whose audit is clean: an audit that can't fail proves nothing.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name    string
		tamper  func(h *house, r []run) // with the six runs of the ledger; the store holds nothing yet
		want    Report
		example string
	}{
		{"nothing", func(h *house, r []run) { h.keep(r...) }, Report{Taken: 12, Stored: 12}, ""},
		{"one run is missing in the store", func(h *house, r []run) { h.keep(append(r[:3:3], r[4:]...)...) },
			Report{Taken: 12, Stored: 10, Lost: 2}, "lost: "},
		{"only a run's verdict is there", func(h *house, r []run) {
			h.keep(r[:5]...)
			h.take("boot1", 1, run{"router-2", r[5].at, 1})
			h.keep(run{"router-3", r[5].at, 1})
		}, Report{Taken: 14, Stored: 10, Lost: 4}, "lost: "},
		{"the store is empty", func(*house, []run) {}, Report{Taken: 12, Lost: 12}, "lost: "},
		{"a run is stored again under another time", func(h *house, r []run) {
			h.keep(r...)
			h.keep(run{"router", r[2].at.Add(5 * time.Second), r[2].took})
		}, Report{Taken: 12, Stored: 12, Doubled: 1, Unlisted: 1}, "doubled: "},
		{"all of it is stored again, shifted", func(h *house, r []run) {
			h.keep(r...)
			for _, x := range r {
				h.keep(run{x.target, x.at.Add(-2 * time.Hour), x.took})
			}
		}, Report{Taken: 12, Stored: 12, Doubled: 6, Unlisted: 6}, "doubled: "},
		{"a run that the ledger does not list", func(h *house, r []run) {
			h.keep(r...)
			h.keep(run{"router", r[2].at.Add(5 * time.Second), 7})
		}, Report{Taken: 12, Stored: 12, Unlisted: 2}, ""},
		{"runs taken after the ledger was read", func(h *house, r []run) {
			h.keep(r...)
			h.keep(run{"router", r[5].at.Add(5 * time.Second), 7})
		}, Report{Taken: 12, Stored: 12}, ""},
		{"a clock that was corrected", func(h *house, r []run) {
			h.shift("boot1", 1, -90*time.Minute)
			for i := range r {
				r[i].at = r[i].at.Add(-90 * time.Minute)
			}
			h.keep(r...)
		}, Report{Taken: 12, Stored: 12}, ""},
		{"a clock that should have been corrected", func(h *house, r []run) {
			h.shift("boot1", 1, -90*time.Minute)
			h.keep(r...)
		}, Report{Taken: 12, Lost: 12}, "lost: "},
		{"a clock of another boot was corrected", func(h *house, r []run) {
			h.shift("boot2", 1, -90*time.Minute)
			h.keep(r...)
		}, Report{Taken: 12, Stored: 12}, ""},
		{"a line torn by a kill", func(h *house, r []run) {
			h.keep(r...)
			h.write("boot1 1 17954")
		}, Report{Taken: 12, Stored: 12}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			r := runs(6)
			h.take("boot1", 1, r...)
			tc.tamper(h, r)
			got := h.audit(0)
			examples := strings.Join(got.Examples, "\n")
			got.Examples = nil
			tc.want.Sites = 1
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, tc.want)
			}
			if tc.example == "" != (examples == "") || !strings.Contains(examples, tc.example) {
				t.Errorf("examples: %q", examples)
			}
			if ok := tc.want.Lost == 0 && tc.want.Doubled == 0; got.OK() != ok {
				t.Errorf("OK says %v: %s", got.OK(), got.String())
			}
		})
	}
}

// TestAuditWaitsForWhatIsOnItsWay: what the spools still hold is not lost.
func TestAuditWaitsForWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	h := build(t)
	r := runs(4)
	h.take("boot1", 1, r...)
	h.keep(r[:2]...)
	late := make(chan struct{})
	go func() {
		defer close(late)
		time.Sleep(time.Second) // the audit is under way; it looks again every two seconds below
		h.keep(r[2:]...)
	}()
	got := h.audit(20 * time.Second)
	<-late
	if !got.OK() || got.Stored != 8 {
		t.Errorf("got %s", got.String())
	}
}

// TestWhatIsSpooledIsNotLost: an agent that is stopped or cut off keeps its results, sealed or not, and will deliver
// them.
func TestWhatIsSpooledIsNotLost(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		fill func(h *house, r []run) // with the six runs of the ledger
		want Report
	}{
		{"sealed by an agent that runs", func(h *house, r []run) {
			s := h.agent("boot1")
			h.t.Cleanup(func() { s.Close() })
			h.keep(r[:4]...)
			h.spool(s, 1, r[4:]...)
			if err := s.Seal(true); err != nil {
				h.t.Fatal(err)
			}
		}, Report{Taken: 12, Stored: 8, Waiting: 4}},
		{"in the open batch", func(h *house, r []run) {
			s := h.agent("boot1")
			h.t.Cleanup(func() { s.Close() })
			h.keep(r[:5]...)
			h.spool(s, 1, r[5])
		}, Report{Taken: 12, Stored: 10, Waiting: 2}},
		{"of an agent that was stopped", func(h *house, r []run) {
			s := h.agent("boot1")
			h.spool(s, 1, r[2:]...)
			if err := s.Close(); err != nil {
				h.t.Fatal(err)
			}
			h.keep(r[:2]...)
		}, Report{Taken: 12, Stored: 4, Waiting: 8}},
		{"delivered, and kept until the collector has it on disk", func(h *house, r []run) {
			s := h.agent("boot1")
			h.t.Cleanup(func() { s.Close() })
			h.spool(s, 1, r...)
			h.keep(r...)
		}, Report{Taken: 12, Stored: 12}},
		{"one is in neither", func(h *house, r []run) {
			s := h.agent("boot1")
			h.t.Cleanup(func() { s.Close() })
			h.keep(r[:3]...)
			h.spool(s, 1, r[4:]...)
		}, Report{Taken: 12, Stored: 6, Lost: 2, Waiting: 4}},
		{"by another boot and by another clock", func(h *house, r []run) {
			s := h.agent("boot2")
			h.t.Cleanup(func() { s.Close() })
			h.spool(s, 1, r[:3]...)
			h.spool(s, 2, r[3:]...)
		}, Report{Taken: 12, Lost: 12}},
		{"with a damaged batch, a torn line and files of others", func(h *house, r []run) {
			s := h.agent("boot1")
			h.t.Cleanup(func() { s.Close() })
			h.keep(r[:4]...)
			h.spool(s, 1, r[4])
			dir := filepath.Join(h.dir, "agents", h.site, "state", "spool")
			for name, text := range map[string]string{
				"00000001-boot1/1-boot1-9-1.lp.gz":     "no gzip",
				"00000001-boot1/open-boot1-8-1.lp":     "check,site=x",
				"00000001-boot1/open-notes.lp":         "my notes\n",
				"quarantine/open-boot1-7-1.lp":         "my notes\n",
				"00000001-boot1/2-boot1-9-1.lp.gz.tmp": "half",
			} {
				file := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					h.t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					h.t.Fatal(err)
				}
			}
		}, Report{Taken: 12, Stored: 8, Waiting: 2, Lost: 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := build(t)
			r := runs(6)
			h.take("boot1", 1, r...)
			tc.fill(h, r)
			got := h.audit(0)
			tc.want.Sites, got.Examples = 1, nil
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, tc.want)
			}
			if got.OK() != (tc.want.Lost == 0) {
				t.Errorf("OK says %v: %s", got.OK(), got.String())
			}
			if line := fmt.Sprintf("waiting %d (in the spools", tc.want.Waiting); !strings.Contains(got.String(), line) {
				t.Errorf("%q is not in %s", line, got.String())
			}
		})
	}
}

// TestACollectorThatStartsIsWaitedFor: it owns its store before it listens for orders.
func TestACollectorThatStartsIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := build(t)
	r := runs(2)
	h.take("boot1", 1, r...)
	h.keep(r...)
	st, err := embedded.Open(embedded.Options{Dir: h.cfg.StoreDir(), Retention: h.cfg.Retention, LateWindow: h.cfg.OutOfOrder, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), h.dir, 0, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "has it open") {
		t.Errorf("without patience: %v", err)
	}
	closed := make(chan error, 1)
	time.AfterFunc(1500*time.Millisecond, func() { closed <- st.Close() })
	if got := h.audit(20 * time.Second); !got.OK() || got.Stored != 4 {
		t.Errorf("got %s", got.String())
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestALedgerWithAHoleIsRefused, or an audit would say that nothing is lost.
func TestALedgerWithAHoleIsRefused(t *testing.T) {
	t.Parallel()
	h := build(t)
	r := runs(2)
	h.take("boot1", 1, r[0])
	h.keep(r...)
	file := filepath.Join(h.dir, "ledger", h.site)
	if err := os.Rename(file, file+lab.BrokenLedger); err != nil {
		t.Fatal(err)
	}
	h.take("boot2", 1, r[1]) // its agent was started again
	if _, err := Run(t.Context(), h.dir, 0, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "the ledger of "+h.site) {
		t.Errorf("got %v", err)
	}
}

func TestMissingBatchesAreInTheReport(t *testing.T) {
	t.Parallel()
	h := build(t)
	reg, err := registry.Open(t.Context(), h.cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{1, 2, 5} {
		if err := reg.Take(t.Context(), registry.Receipt{Site: h.site, Agent: "pc-1", Boot: "b1", Seq: seq, Clock: 1, Points: 1, ReceivedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	if r := h.audit(0); r.Missing != 2 {
		t.Errorf("batches 3 and 4 are missing: %s", r.String())
	}
}

func TestWhatIsNoLabIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := Run(t.Context(), t.TempDir(), 0, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("an empty folder: %v", err)
	}
	for _, line := range []string{"boot1 1 17\n", "boot1 x 17 a\n", "boot1 1 x a\n"} {
		h := build(t)
		h.write(line)
		if _, err := Run(t.Context(), h.dir, 0, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), h.site+":1: ") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
