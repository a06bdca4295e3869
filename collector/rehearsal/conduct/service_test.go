package conduct

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/plan"
	wire "communewatch/probes/orders"
)

var _ rehearsal.Service = (*Service)(nil)

// world is a service with a province behind it, running within a bubble of synctest.
type world struct {
	*Service
	t     *testing.T
	store *memory
	field *province
	load  rehearsal.Load
	loads func(time.Duration) rehearsal.Load // since it was made, in place of load
	end   func()                             // ends Run and waits for it
}

func settings() plan.Settings {
	s := plan.DefaultSettings()
	s.HubMbps = 1000
	return s
}

// newWorld starts a collector's service; store and field are nil for new ones.
func newWorld(t *testing.T, store *memory, field *province, set plan.Settings) *world {
	t.Helper()
	if store == nil {
		store = &memory{}
	}
	if field == nil {
		field = newProvince(136)
	}
	w := &world{t: t, store: store, field: field}
	made := time.Now()
	w.Service = New(Options{Store: store, Channel: field, Sites: field, Settings: set, Log: slog.New(slog.DiscardHandler),
		Hub: func(context.Context) rehearsal.Load {
			if w.loads != nil {
				return w.loads(time.Since(made))
			}
			return w.load
		},
		Evidence: func(_ context.Context, sites []string) (out []rehearsal.Evidence) {
			for _, s := range sites {
				out = append(out, rehearsal.Evidence{Site: s, Rooms: []rehearsal.Room{{Endpoint: "codec", Level: 2, Known: true}}})
			}
			return out
		}})
	field.report = w.Report
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	ended := false
	w.end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		field.agents.Wait()
	}
	t.Cleanup(w.end)
	synctest.Wait()
	return w
}

func (w *world) start(r rehearsal.Request) rehearsal.ID {
	w.t.Helper()
	if r.Meeting == "" {
		r.Meeting = "Giao ban"
	}
	id, err := w.Start(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// wait waits until a rehearsal has ended.
func (w *world) wait(id rehearsal.ID) rehearsal.Report {
	w.t.Helper()
	for range 3600 {
		r, err := w.Get(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if r.State.Final() {
			return r
		}
		time.Sleep(time.Second)
	}
	w.t.Fatal("does not end")
	return rehearsal.Report{}
}

func (w *world) status(id rehearsal.ID) rehearsal.Status {
	w.t.Helper()
	st, err := w.Status(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

const steps = "10,34,68,all"

// The whole of it: 136 agents, four steps, two bad sites.
func TestAProvinceRehearses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		w.field.hurt = func(site string, _ int) (float64, float64) {
			switch site {
			case "s017":
				return 0.09, 0
			case "s101":
				return 0, 0.03
			}
			return 0, 0
		}
		events, cancel := w.Subscribe()
		defer cancel()
		began := time.Now()
		id := w.start(rehearsal.Request{Steps: steps, StepSeconds: 20, By: "Lan"})
		synctest.Wait()
		if st := w.status(0); st.ID != id || st.State != rehearsal.StateRunning || st.Step != 1 || st.StepSites != 10 || st.Counts[rehearsal.ProgressAccepted] != 10 ||
			st.StepEnds == nil || st.Estimate == nil || st.SecondsLeft < 90 {
			t.Errorf("%+v", st)
		}
		r := w.wait(id)
		if r.State != rehearsal.StateDone || len(r.Why) != 0 || len(r.Results) != 10+34+68+136 {
			t.Fatalf("%s %+v, %d results", r.State, r.Why, len(r.Results))
		}
		if took := time.Since(began); took > time.Duration(r.Plan.TotalSeconds+2)*time.Second {
			t.Errorf("took %v, planned %d s", took, r.Plan.TotalSeconds)
		}
		if _, most := w.field.count(); most != 136 {
			t.Errorf("%d calls at once, want all", most)
		}
		if v := r.Verdict; v.Counts[rehearsal.Go] != 134 || v.Rows[0].Site != "s017" || v.Rows[1].Site != "s101" || v.Hub.Mark != rehearsal.Go || v.Rows[0].District != "huyện 1" {
			t.Errorf("%+v, hub %+v, first %+v", v.Counts, v.Hub, v.Rows[0])
		}
		// What is kept says the same.
		kept, err := w.store.Get(t.Context(), id)
		if err != nil || kept.State != rehearsal.StateDone || len(kept.Results) != len(r.Results) || len(kept.Evidence) != 136 || kept.Ended == nil || len(kept.Runs) != 4 {
			t.Errorf("kept: %s, %d results, %d runs, %v", kept.State, len(kept.Results), len(kept.Runs), err)
		}
		seen := map[rehearsal.EventKind]int{}
		for len(events) > 0 {
			seen[(<-events).Kind]++
		}
		// Of each site: told, accepted, started, done.
		if want := map[rehearsal.EventKind]int{rehearsal.EventState: 2, rehearsal.EventStep: 4, rehearsal.EventSite: 4 * 248}; !reflect.DeepEqual(seen, want) {
			t.Errorf("heard %v, want %v", seen, want)
		}
	})
}

// All calls of a step stream together for as long as was asked, whenever each was told.
func TestStepsHaveACommonTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		w.wait(w.start(rehearsal.Request{Steps: "10,all", StepSeconds: 5}))
		byOrder := map[string][]telling{}
		for _, c := range w.field.calls(wire.KindCall, "") {
			byOrder[c.ID] = append(byOrder[c.ID], c)
		}
		if len(byOrder) != 2 {
			t.Fatalf("%d orders, want one per step", len(byOrder))
		}
		for id, list := range byOrder {
			var last, first time.Time
			for _, c := range list {
				begin := c.at.Add(time.Duration(c.Call.StartIn))
				end := begin.Add(time.Duration(c.Call.Duration))
				if last.Before(begin) {
					last = begin
				}
				if first.IsZero() || end.Before(first) {
					first = end
				}
				if lead := time.Duration(c.Call.StartIn); lead < 2*time.Second {
					t.Errorf("%s: told %v before it is to begin, orders may take 2 s", c.site, lead)
				}
				if c.Call.Profile.Name != "720p" || c.Expires < c.Call.StartIn {
					t.Errorf("%+v", c.Order)
				}
			}
			if common := first.Sub(last); common < 5*time.Second || common > 6*time.Second {
				t.Errorf("%s: %d calls stream together for %v", id, len(list), common)
			}
		}
	})
}

func TestAgentsThatDoNotDoAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		f := w.field
		for i := 20; i < 25; i++ {
			delete(f.since, siteID(i)) // off
		}
		f.odd["s001"] = func(site string, o wire.Order) { // has no check to call with
			f.report(site, "pc", wire.Report{Order: o.ID, Phase: wire.PhaseRefused, Reason: "no webrtc check is configured"})
		}
		f.odd["s002"] = func(site string, o wire.Order) { // loses its power
			f.report(site, "pc", wire.Report{Order: o.ID, Phase: wire.PhaseAccepted})
		}
		f.odd["s003"] = func(site string, o wire.Order) { // reports long after
			time.Sleep(3 * time.Minute)
			f.report(site, "pc", wire.Report{Order: o.ID, Phase: wire.PhaseDone, Outcome: "ok", Result: measured(0, 0)})
		}
		f.odd["s004"] = func(site string, o wire.Order) { // all at once, twice and in the wrong order, and somebody else's too
			done := wire.Report{Order: o.ID, Phase: wire.PhaseDone, Outcome: "ok", Result: measured(0.5, 0)}
			f.report(site, "pc", done)
			f.report(site, "pc", wire.Report{Order: o.ID, Phase: wire.PhaseStarted})
			f.report(site, "other", wire.Report{Order: o.ID, Phase: wire.PhaseDone, Outcome: "failed"})
			f.report(site, "pc", wire.Report{Order: o.ID, Phase: wire.PhaseDone, Outcome: "failed"})
			f.report("s099", "pc", wire.Report{Order: "r9-1-x", Phase: wire.PhaseDone, Outcome: "ok", Result: measured(1, 1)})
			f.report("nowhere", "pc", done)
		}
		id := w.start(rehearsal.Request{Steps: "all", StepSeconds: 5})
		r := w.wait(id)
		if r.State != rehearsal.StateDone {
			t.Fatal(r.State, r.Why)
		}
		progress := map[string]rehearsal.Progress{}
		for _, res := range r.Results {
			progress[res.Site] = res.Progress
			if res.Site == "s004" && (res.Outcome != "ok" || res.Call == nil || res.Agent != "pc") {
				t.Errorf("%+v", res)
			}
		}
		want := map[string]rehearsal.Progress{"s001": rehearsal.ProgressRefused, "s002": rehearsal.ProgressNoResult, "s003": rehearsal.ProgressNoResult,
			"s004": rehearsal.ProgressDone, "s020": rehearsal.ProgressNotConnected, "s024": rehearsal.ProgressNotConnected, "s099": rehearsal.ProgressDone}
		for site, p := range want {
			if progress[site] != p {
				t.Errorf("%s: %s, want %s", site, progress[site], p)
			}
		}
		if v := r.Verdict.Counts; v[rehearsal.Go] != 136-5-4 || v[rehearsal.NoGo] != 1 || v[rehearsal.Unknown] != 8 {
			t.Errorf("%v", v)
		}
		time.Sleep(5 * time.Minute) // s003's word is still taken
		r = w.wait(id)
		if v := r.Verdict.Counts; v[rehearsal.Go] != 136-5-3 {
			t.Errorf("after the late report: %v", v)
		}
		if k := w.store.kept(id, 0); k[rehearsal.ProgressDone] != 136-5-2 || k[rehearsal.ProgressNotConnected] != 5 || k[rehearsal.ProgressRefused] != 1 || k[rehearsal.ProgressNoResult] != 1 {
			t.Errorf("kept: %v", k)
		}
	})
}

func TestStopActsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		id := w.start(rehearsal.Request{Steps: steps, StepSeconds: 30})
		time.Sleep(60 * time.Second) // in the second step
		begin := time.Now()
		if err := w.Stop(t.Context(), id, "Lan"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the agents were told after %v", took)
		}
		if n := len(w.field.calls(wire.KindStop, "")); n != 34 {
			t.Errorf("%d sites were told to stop, 34 were calling", n)
		}
		r := w.wait(id)
		if r.State != rehearsal.StateStopped || len(r.Why) != 1 || r.Why[0].Code != rehearsal.NoteByPerson || r.Why[0].Text != "Lan" || len(r.Runs) != 2 {
			t.Errorf("%s %+v, %d steps", r.State, r.Why, len(r.Runs))
		}
		if running, _ := w.field.count(); running != 0 {
			t.Errorf("%d sites still call", running)
		}
		if len(r.Results) != 44 {
			t.Errorf("%d results: what was measured is not kept", len(r.Results))
		}
		if err := w.Stop(t.Context(), id, "Lan"); !errors.Is(err, rehearsal.ErrNotRunning) {
			t.Error("stopped again:", err)
		}
		if err := w.Stop(t.Context(), 77, "Lan"); !errors.Is(err, rehearsal.ErrUnknown) {
			t.Error("of nothing:", err)
		}
		if err := w.Stop(t.Context(), 0, "Lan"); !errors.Is(err, rehearsal.ErrNotRunning) {
			t.Error("whatever runs:", err)
		}
		// The next one can begin at once.
		if r := w.wait(w.start(rehearsal.Request{Steps: "10", StepSeconds: 5})); r.State != rehearsal.StateDone {
			t.Errorf("%s %v", r.State, r.Why)
		}
	})
}

func TestAHubInTroubleEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		load  rehearsal.Load
		loads func(time.Duration) rehearsal.Load
		hurt  func(string, int) (float64, float64)
		fail  string // outcome of every call
		code  string
		says  rehearsal.Note
		state rehearsal.State
	}{
		"would refuse, but no call came": {load: rehearsal.Load{Known: true, Refusing: true, Sessions: 5, MaxSessions: 200}, state: rehearsal.StateDone},
		"refuses":                        {fail: "busy", code: rehearsal.NoteHubRefuses, says: rehearsal.Note{N: 5, Of: 10}},
		"busy":                           {load: rehearsal.Load{Known: true, CPURatio: 0.99}, code: rehearsal.NoteHubLoad, says: rehearsal.Note{N: 0.99, Of: 0.95}},
		"slow":                           {load: rehearsal.Load{Known: true, Refusing: true, ResidenceP99: 0.12}, code: rehearsal.NoteHubSlow, says: rehearsal.Note{N: 0.12, Of: 0.1}},
		"away":                           {load: rehearsal.Load{Unreachable: true}, code: rehearsal.NoteHubAway, says: rehearsal.Note{N: 5}},
		"other lim.":                     {load: rehearsal.Load{Known: true, CPURatio: 0.94, ResidenceP99: 0.099}, state: rehearsal.StateDone},
		// A moment in which nothing was sent is in what the hub says for 5 s.
		"slow for moments": {loads: func(at time.Duration) rehearsal.Load {
			l := rehearsal.Load{Known: true}
			if s := int(at.Seconds()) % 15; s < 8 {
				l.ResidenceP99, l.Refusing = 0.5, true
			}
			if s := int(at.Seconds()) % 6; s < 4 {
				l.CPURatio, l.Unreachable = 1, s < 3
			}
			return l
		}, state: rehearsal.StateDone},
		"full, as planned":    {load: rehearsal.Load{Known: true, Refusing: true, Sessions: 34, MaxSessions: 34}, state: rehearsal.StateDone},
		"not known":           {load: rehearsal.Load{Refusing: true, CPURatio: 1}, state: rehearsal.StateDone},
		"sets no call up":     {fail: "timeout", code: rehearsal.NoteSetup},
		"loses with 34 sites": {hurt: func(_ string, calls int) (float64, float64) { return 0, float64(min(calls, 34)/34) * 0.2 }, code: rehearsal.NoteHubLoss},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil, nil, settings())
				w.load, w.loads = c.load, c.loads
				if c.hurt != nil {
					w.field.hurt = c.hurt
				}
				if c.fail != "" {
					for i := range 136 {
						w.field.odd[siteID(i)] = func(site string, o wire.Order) {
							w.field.report(site, "pc", wire.Report{Order: o.ID, Phase: wire.PhaseDone, Outcome: c.fail, Reason: "ICE did not connect"})
						}
					}
				}
				r := w.wait(w.start(rehearsal.Request{Steps: "10,34,68", StepSeconds: 20}))
				if c.code == "" {
					if r.State != c.state {
						t.Errorf("%s %+v", r.State, r.Why)
					}
					return
				}
				if r.State != rehearsal.StateStopped || len(r.Why) != 1 || r.Why[0].Code != c.code {
					t.Fatalf("%s %+v, want %s", r.State, r.Why, c.code)
				}
				if c.says.N > 0 && (math.Abs(r.Why[0].N-c.says.N) > 0.01 || r.Why[0].Of != c.says.Of) {
					t.Errorf("%+v, want %v of %v", r.Why[0], c.says.N, c.says.Of)
				}
				if len(r.Runs) > 2 {
					t.Errorf("%d steps were run on", len(r.Runs))
				}
				if (c.load.Known || c.load.Unreachable) && r.Ended.Sub(*r.Began) > 15*time.Second {
					t.Errorf("it took %v to notice", r.Ended.Sub(*r.Began))
				}
			})
		})
	}
}

func TestWhatCanNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		var refused *rehearsal.Refused
		if _, err := w.Start(t.Context(), rehearsal.Request{Meeting: "m", Steps: "0"}); !errors.As(err, &refused) || refused.Problems[0].Field != "steps" {
			t.Error(err)
		}
		if _, err := w.Start(t.Context(), rehearsal.Request{Meeting: "m", Profile: "1080p", Sites: "all", Steps: "all"}); err != nil {
			t.Error("136 times 4 Mbit/s are less than 1000:", err)
		}
		if _, err := w.Start(t.Context(), rehearsal.Request{Meeting: "m"}); !errors.Is(err, rehearsal.ErrRunning) {
			t.Error("a second one:", err)
		}
		if p, err := w.Draft(t.Context(), rehearsal.Request{Meeting: "m"}); err != nil || len(p.Problems) != 0 {
			t.Error("a plan can be made at any time:", err, p.Problems)
		}
		w.end()
		if _, err := w.Start(t.Context(), rehearsal.Request{Meeting: "m"}); !errors.Is(err, rehearsal.ErrClosing) {
			t.Error("after the end:", err)
		}
		w = newWorld(t, nil, nil, settings())
		w.store.broken = errors.New("disk full")
		if _, err := w.Start(t.Context(), rehearsal.Request{Meeting: "m"}); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Error("begun although it can't be kept:", err)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, newProvince(0), settings())
		r := w.wait(w.start(rehearsal.Request{Steps: steps}))
		if r.State != rehearsal.StateStopped || r.Why[0].Code != rehearsal.NoteNobody || r.Verdict.Counts[rehearsal.Unknown] != 136 {
			t.Errorf("%s %+v %v", r.State, r.Why, r.Verdict.Counts)
		}
	})
}

// A disk that fails meanwhile costs what is kept, not the rehearsal.
func TestADiskThatFailsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		id := w.start(rehearsal.Request{Steps: "10,20", StepSeconds: 5})
		synctest.Wait()
		w.store.mu.Lock()
		w.store.broken = errors.New("disk full")
		w.store.mu.Unlock()
		if r := w.wait(id); r.State != rehearsal.StateDone || len(r.Results) != 30 {
			t.Errorf("%s %v, %d results", r.State, r.Why, len(r.Results))
		}
	})
}

// A collector that ends tells the agents to stop; the next one keeps what was measured.
func TestTheCollectorEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		id := w.start(rehearsal.Request{Steps: "10,all", StepSeconds: 20})
		time.Sleep(40 * time.Second) // in the second step
		events, cancel := w.Subscribe()
		defer cancel()
		w.end()
		if n := len(w.field.calls(wire.KindStop, "")); n != 136 {
			t.Errorf("%d sites were told to stop", n)
		}
		for range events { // it ends
		}
		kept, err := w.store.Get(t.Context(), id)
		if err != nil || kept.State != rehearsal.StateAborted || kept.Why[0].Code != rehearsal.NoteClosing || w.store.kept(id, 0)[rehearsal.ProgressDone] != 10 {
			t.Errorf("%s %+v %v", kept.State, kept.Why, err)
		}
		// Killed rather than stopped: it finds itself running.
		kept.State, kept.Why, kept.Ended = rehearsal.StateRunning, nil, nil
		if err := w.store.Update(t.Context(), &kept); err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, w.store, w.field, settings())
		r := w.wait(id)
		if r.State != rehearsal.StateAborted || r.Why[0].Code != rehearsal.NoteRestart || r.Ended == nil || len(r.Evidence) != 136 {
			t.Errorf("%s %+v, evidence of %d", r.State, r.Why, len(r.Evidence))
		}
		if st := w.status(0); st.ID != id || st.State != rehearsal.StateAborted || st.Step != 2 {
			t.Errorf("%+v", st.Summary)
		}
	})
}

func TestASlowReaderIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		slow, cancel := w.Subscribe()
		defer cancel()
		for range 5 { // five times 248 sites, four events each, are more than the backlog
			w.wait(w.start(rehearsal.Request{Steps: steps, StepSeconds: 5}))
		}
		n := 0
		for range slow {
			n++
		}
		if n != backlog {
			t.Errorf("heard %d events before it was dropped", n)
		}
		quick, cancel := w.Subscribe()
		cancel()
		cancel() // twice is harmless
		if _, open := <-quick; open {
			t.Error("is open after its end")
		}
	})
}

func TestPlannedRehearsals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		at, later := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		id := w.start(rehearsal.Request{Steps: "10", StepSeconds: 5, At: &at})
		taken := w.start(rehearsal.Request{Steps: "10", StepSeconds: 5, At: &later})
		if st := w.status(id); st.State != rehearsal.StatePlanned || st.At == nil {
			t.Errorf("%+v", st.Summary)
		}
		if err := w.Stop(t.Context(), taken, "Lan"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - 10*time.Second)
		if n := len(w.field.calls(wire.KindCall, "")); n != 0 {
			t.Errorf("%d calls before the time", n)
		}
		time.Sleep(15 * time.Second)
		if st := w.status(id); st.State != rehearsal.StateRunning {
			t.Errorf("at its time: %+v", st.Summary)
		}
		if r := w.wait(id); r.State != rehearsal.StateDone || len(r.Results) != 10 {
			t.Errorf("%s %v", r.State, r.Why)
		}
		time.Sleep(2 * time.Hour)
		if st := w.status(taken); st.State != rehearsal.StateStopped || st.Why[0].Code != rehearsal.NoteCancelled {
			t.Errorf("%+v", st.Summary)
		}

		// Missed while no collector ran: not run late.
		at = time.Now().Add(time.Hour)
		missed := w.start(rehearsal.Request{Steps: "10", StepSeconds: 5, At: &at})
		w.end()
		time.Sleep(2 * time.Hour)
		before := len(w.field.calls(wire.KindCall, ""))
		w = newWorld(t, w.store, w.field, settings())
		time.Sleep(5 * time.Second)
		if st := w.status(missed); st.State != rehearsal.StateMissed || st.Why[0].Code != rehearsal.NoteMissed || st.Began != nil {
			t.Errorf("%+v", st.Summary)
		}
		if n := len(w.field.calls(wire.KindCall, "")); n != before {
			t.Errorf("%d calls were made late", n-before)
		}
	})
}

func TestTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // from midnight UTC, Saturday 2000-01-01: 07:00 in Vietnam
		set := settings()
		set.Schedule = []plan.Entry{{Meeting: "Giao ban", Profile: "360p", Sites: "all", Steps: "10", Days: []string{"sat", "sun"}, At: "08:00"}}
		w := newWorld(t, nil, nil, set)
		list, err := w.List(t.Context())
		if err != nil || len(list) != 1 || list[0].State != rehearsal.StatePlanned || list[0].At.Sub(time.Now()) > time.Hour {
			t.Fatalf("%+v %v", list, err)
		}
		time.Sleep(2 * time.Hour)
		list, _ = w.List(t.Context())
		if len(list) != 2 || list[1].State != rehearsal.StateDone || list[0].State != rehearsal.StatePlanned || list[0].At.Sub(*list[1].At) != 24*time.Hour {
			t.Fatalf("%+v", list)
		}
		// Sunday's is missed with nobody there to run it, and Saturday's is planned.
		w.end()
		time.Sleep(30 * time.Hour)
		w = newWorld(t, w.store, w.field, set)
		time.Sleep(2 * time.Second)
		list, _ = w.List(t.Context())
		if len(list) != 3 || list[1].State != rehearsal.StateMissed || list[0].State != rehearsal.StatePlanned || list[0].At.Sub(*list[1].At) != 6*24*time.Hour {
			t.Fatalf("%+v", list)
		}
		// An entry that is gone takes its plan with it.
		w.end()
		w = newWorld(t, w.store, w.field, settings())
		time.Sleep(2 * time.Second)
		if list, _ = w.List(t.Context()); len(list) != 3 || list[0].State != rehearsal.StateStopped {
			t.Errorf("%+v", list)
		}
	})
}

func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		delete(w.field.since, "s135")
		id := w.start(rehearsal.Request{Steps: "10", StepSeconds: 20})
		time.Sleep(10 * time.Second)
		h, err := w.Hold(t.Context(), rehearsal.Hold{Meeting: "Giao ban", By: "Lan", For: 3 * time.Hour})
		if err != nil || h.Told != 135 {
			t.Fatalf("%+v %v", h, err)
		}
		if r := w.wait(id); r.State != rehearsal.StateStopped || r.Why[0].Code != rehearsal.NoteHeld {
			t.Errorf("the rehearsal that ran: %s %+v", r.State, r.Why)
		}
		if _, err := w.Start(t.Context(), rehearsal.Request{Meeting: "m"}); !errors.Is(err, rehearsal.ErrHeld) {
			t.Error(err)
		}
		// Who connects later is told what is left.
		time.Sleep(time.Hour)
		w.field.mu.Lock()
		w.field.since["s135"] = time.Now()
		w.field.mu.Unlock()
		time.Sleep(3 * time.Second)
		told := w.field.calls(wire.KindHold, "s135")
		if len(told) != 1 || time.Duration(told[0].Hold.For) > 2*time.Hour || time.Duration(told[0].Hold.For) < 119*time.Minute || told[0].Hold.Note != "Giao ban" {
			t.Errorf("%+v", told)
		}
		if n := len(w.field.calls(wire.KindHold, "s000")); n != 1 {
			t.Errorf("who was told is told %d times", n)
		}
		// It outlives the collector.
		w.end()
		w = newWorld(t, w.store, w.field, settings())
		if h, ok := w.Held(); !ok || h.Meeting != "Giao ban" {
			t.Errorf("%+v %v", h, ok)
		}
		at := time.Now().Add(time.Minute)
		planned := w.start(rehearsal.Request{Steps: "10", At: &at})
		time.Sleep(2 * time.Minute)
		if r := w.wait(planned); r.State != rehearsal.StateMissed || r.Why[0].Code != rehearsal.NoteHeld || r.Why[0].Text != "Giao ban" {
			t.Errorf("%s %+v", r.State, r.Why)
		}
		// Ended early, it is over at once, for who was away too.
		w.field.mu.Lock()
		delete(w.field.since, "s001")
		w.field.mu.Unlock()
		if _, err := w.Hold(t.Context(), rehearsal.Hold{}); err != nil {
			t.Fatal(err)
		}
		if _, ok := w.Held(); ok {
			t.Error("is on after its end")
		}
		w.field.mu.Lock()
		w.field.since["s001"] = time.Now()
		w.field.mu.Unlock()
		time.Sleep(3 * time.Second)
		for _, site := range []string{"s000", "s001"} {
			told := w.field.calls(wire.KindHold, site)
			if last := told[len(told)-1]; last.Hold.For != 0 {
				t.Errorf("%s still keeps it: %+v", site, last.Hold)
			}
		}
		if r := w.wait(w.start(rehearsal.Request{Steps: "10", StepSeconds: 5})); r.State != rehearsal.StateDone {
			t.Errorf("%s %+v", r.State, r.Why)
		}
		for _, bad := range []rehearsal.Hold{{For: -1}, {For: time.Second}, {For: 25 * time.Hour}, {For: time.Hour, Meeting: "a\nb"}, {For: time.Hour, By: strings.Repeat("x", 300)}} {
			var refused *rehearsal.Refused
			if _, err := w.Hold(t.Context(), bad); !errors.As(err, &refused) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

func TestComparison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, nil, settings())
		w.field.hurt = func(site string, _ int) (float64, float64) {
			if site == "s017" {
				return 0.09, 0
			}
			return 0, 0
		}
		before := w.start(rehearsal.Request{Steps: "68,all", StepSeconds: 5})
		w.wait(before)
		w.field.hurt = func(string, int) (float64, float64) { return 0, 0 }
		after := w.start(rehearsal.Request{Steps: "68,all", StepSeconds: 5})
		w.wait(after)
		c, err := w.Compare(t.Context(), before, after)
		if err != nil || len(c.Better) != 1 || c.Better[0].Site != "s017" || len(c.Worse) != 0 || c.Same != 135 || !slices.Equal(c.Before.Steps, []int{68, 136}) {
			t.Errorf("%+v %v", c, err)
		}
		if _, err := w.Compare(t.Context(), before, 9); !errors.Is(err, rehearsal.ErrUnknown) || !strings.Contains(err.Error(), "r9") {
			t.Error(err)
		}
	})
}
