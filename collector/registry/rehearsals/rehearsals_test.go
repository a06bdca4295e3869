package rehearsals_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"communewatch/collector/health"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal"
	"communewatch/probes"
	"communewatch/probes/webrtc/media"
	"communewatch/probes/webrtc/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func open(t *testing.T, file string, now *time.Time) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), file, registry.Options{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func record() rehearsal.Record {
	profile, _ := media.Named("720p")
	began := start.Add(time.Second)
	return rehearsal.Record{
		Plan:  rehearsal.Plan{Meeting: "Giao ban", Profile: profile, Sites: []string{"s2", "s1"}, Steps: []int{1, 2}, StepSeconds: 20, Estimates: []rehearsal.Estimate{{Step: 1, Sites: 1}}},
		State: rehearsal.StateRunning, Created: start, Began: &began,
		Runs: []rehearsal.StepRun{{Began: began, Load: rehearsal.Load{Known: true, Sessions: 1, CPURatio: 0.25}}},
		Evidence: []rehearsal.Evidence{{Site: "s1", District: "Tam Đảo", Heard: &began, Rooms: []rehearsal.Room{{Endpoint: "codec", Level: 2, Known: true}},
			Layers: []rehearsal.LayerState{{Layer: probes.LayerLAN, State: "degraded", Since: start,
				Reason: health.Reason{Code: health.ReasonThreshold, Field: "icmp.loss_ratio", Value: 0.02, Check: health.CheckID{Site: "s1", Target: "gw"}}}}}},
	}
}

func result(site string, step int) rehearsal.Result {
	rtt := 0.011
	return rehearsal.Result{Site: site, Agent: "pc", Step: step, Progress: rehearsal.ProgressDone, Outcome: "ok", Path: probes.PathDedicated, Proof: probes.ProofProved,
		At: start.Add(30 * time.Second), Call: &report.Call{Service: "reflector", Profile: "720p", LimitedBy: "none", RTT: &report.Spread{Median: rtt},
			Flows: []report.Flow{{Direction: probes.DirectionUp, Media: probes.MediaAudio, Sent: 1000, Received: 990, Lost: 10, LossRatio: 0.01}}}}
}

func TestARehearsalOutlivesTheProcess(t *testing.T) {
	file, now := filepath.Join(t.TempDir(), "registry.db"), start
	r := open(t, file, &now)
	rec := record()
	if err := r.Rehearsals().Create(t.Context(), &rec); err != nil || rec.ID != 1 {
		t.Fatal(rec.ID, err)
	}
	want := rec
	for _, res := range []rehearsal.Result{result("s1", 1), result("s2", 0), result("s2", 1)} {
		if err := r.Rehearsals().PutResults(t.Context(), rec.ID, res); err != nil {
			t.Fatal(err)
		}
	}
	better := result("s2", 1) // a report that came again replaces the one before
	better.Reason = "again"
	if err := r.Rehearsals().PutResults(t.Context(), rec.ID, better); err != nil {
		t.Fatal(err)
	}
	ended := start.Add(time.Minute)
	want.State, want.Ended, want.Why = rehearsal.StateStopped, &ended, []rehearsal.Note{{Code: rehearsal.NoteByPerson, Text: "Lan"}}
	if err := r.Rehearsals().Update(t.Context(), &want); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	want.Results = []rehearsal.Result{result("s2", 0), result("s1", 1), better}

	r = open(t, file, &now)
	defer r.Close()
	got, err := r.Rehearsals().Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-kept +read):\n%s", diff)
	}
	if list, err := r.Rehearsals().List(t.Context()); err != nil || len(list) != 1 || list[0].Plan.Meeting != "Giao ban" || len(list[0].Results) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if list, err := r.Rehearsals().List(t.Context(), rehearsal.StateRunning, rehearsal.StatePlanned); err != nil || len(list) != 0 {
		t.Errorf("none is running or planned: %+v %v", list, err)
	}
}

func TestWhatIsNotThereIsUnknown(t *testing.T) {
	now := start
	r := open(t, filepath.Join(t.TempDir(), "registry.db"), &now)
	defer r.Close()
	if _, err := r.Rehearsals().Get(t.Context(), 7); !errors.Is(err, rehearsal.ErrUnknown) {
		t.Error(err)
	}
	rec := record()
	rec.ID = 7
	if err := r.Rehearsals().Update(t.Context(), &rec); !errors.Is(err, rehearsal.ErrUnknown) {
		t.Error(err)
	}
	if err := r.Rehearsals().PutResults(t.Context(), 7, result("s1", 0)); err == nil {
		t.Error("a result of no rehearsal was kept")
	}
}

func TestHolds(t *testing.T) {
	file, now := filepath.Join(t.TempDir(), "registry.db"), start
	r := open(t, file, &now)
	held := func() (rehearsal.Hold, bool) {
		h, ok, err := r.Rehearsals().Held(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return h, ok
	}
	if _, ok := held(); ok {
		t.Error("a hold out of nothing")
	}
	set := func(meeting string, length time.Duration) {
		if err := r.Rehearsals().SetHold(t.Context(), rehearsal.Hold{Meeting: meeting, By: "Lan", Began: now, Until: now.Add(length)}); err != nil {
			t.Fatal(err)
		}
	}
	set("Giao ban", 3*time.Hour)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, file, &now)
	defer func() { r.Close() }()
	now = start.Add(time.Hour)
	if h, ok := held(); !ok || h.Meeting != "Giao ban" || h.By != "Lan" || !h.Until.Equal(start.Add(3*time.Hour)) {
		t.Errorf("after a restart: %+v %v", h, ok)
	}
	set("Chuyên đề", time.Hour)
	if h, ok := held(); !ok || h.Meeting != "Chuyên đề" {
		t.Errorf("%+v %v", h, ok)
	}
	set("", 0)
	if h, ok := held(); ok {
		t.Errorf("ended, but %+v is on", h)
	}
	now = start.Add(2 * time.Hour)
	set("again", time.Hour)
	now = start.Add(3 * time.Hour)
	if h, ok := held(); ok {
		t.Errorf("over, but %+v is on", h)
	}
}

func TestPruningIsBounded(t *testing.T) {
	now := start
	r := open(t, filepath.Join(t.TempDir(), "registry.db"), &now)
	defer r.Close()
	s := r.Rehearsals()
	for i := range 50 {
		rec := record()
		rec.State, rec.Plan.Meeting = rehearsal.StateDone, fmt.Sprint(i)
		if i == 3 {
			rec.State = rehearsal.StateRunning
		}
		if i >= 45 {
			rec.Created = start.AddDate(4, 0, 0)
		}
		if err := s.Create(t.Context(), &rec); err != nil {
			t.Fatal(err)
		}
		if err := s.PutResults(t.Context(), rec.ID, result("s1", 0)); err != nil {
			t.Fatal(err)
		}
	}
	now = start.AddDate(5, 1, 0)
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 6 || list[5].Plan.Meeting != "3" {
		t.Fatalf("%d are left: %v", len(list), err)
	}
	if _, err := s.Get(t.Context(), 1); !errors.Is(err, rehearsal.ErrUnknown) {
		t.Error(err)
	}
	again := record()
	if err := s.Create(t.Context(), &again); err != nil || again.ID != 51 {
		t.Errorf("a number was used again: %v %v", again.ID, err)
	}
}
