package agents_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/fleet"
	"communewatch/collector/registry/agents"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
)

func (w *world) say(agent, boot, host string, phase presence.Phase, serial string) {
	w.t.Helper()
	p := &presence.Presence{Boot: boot, Phase: phase, Machine: enroll.Machine{Host: host}}
	if phase == presence.PhaseStopping {
		p.Reason = presence.StopShutdown
	}
	if err := w.Heard(w.ctx, agents.Hearing{Site: "s1", Agent: agent, Serial: serial, Presence: p}); err != nil {
		w.t.Fatal(err)
	}
}

func TestALastWordIsKeptUntilTheNextStart(t *testing.T) {
	w := newWorld(t)
	w.enrol(fleet.NewCode{Site: "s1"}, "pc", "main")
	w.say("main", "b1", "pc", presence.PhaseStarted, "1")
	if a := w.agent("s1", "main"); a.Presence == nil || a.Presence.Boot != "b1" || !a.Heard.Equal(w.clock()) || !a.Stopped.IsZero() {
		t.Errorf("%+v", a)
	}
	w.pass(time.Hour)
	w.say("main", "b1", "pc", presence.PhaseStopping, "1")
	stopped := w.clock()
	w.pass(time.Hour)
	if a := w.agent("s1", "main"); !a.Stopped.Equal(stopped) {
		t.Errorf("%+v", a)
	}
	// Also for a collector that begins anew.
	again := w.open(nil)
	stops, err := again.Agents().Stops(w.ctx)
	if err != nil || len(stops) != 1 || stops[0] != (agents.Stop{Site: "s1", Agent: "main", At: stopped, Reason: presence.StopShutdown}) {
		t.Error(stops, err)
	}
	w.say("main", "b2", "pc", presence.PhaseStarted, "1")
	if stops, err := w.Stops(w.ctx); err != nil || len(stops) != 0 {
		t.Error(stops, err)
	}
	if a := w.agent("s1", "main"); !a.Stopped.IsZero() || !a.Clone.IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestClones(t *testing.T) {
	const running, stopping = presence.PhaseRunning, presence.PhaseStopping
	type word struct {
		boot, host string
		phase      presence.Phase
		serial     string
		after      time.Duration
	}
	for _, tc := range []struct {
		name  string
		words []word
		want  string // in why; "" for no clone
	}{
		{"one machine that starts again and again", []word{{"a", "pc", running, "1", 0}, {"a", "pc", running, "1", 0}, {"b", "pc", running, "1", 0}, {"c", "pc", running, "1", 0}}, ""},
		{"a last word that comes late", []word{{"a", "pc", running, "1", 0}, {"b", "pc", running, "1", 0}, {"a", "pc", stopping, "1", 0}, {"b", "pc", running, "1", 0}}, ""},
		{"the machine got another name", []word{{"a", "pc", running, "1", 0}, {"a", "pc-2", running, "1", 0}, {"a", "pc-2", running, "1", 0}}, ""},
		{"two starts in turn", []word{{"a", "pc", running, "1", 0}, {"b", "pc", running, "1", 0}, {"a", "pc", running, "1", 0}}, "two starts"},
		{"two machines in turn", []word{{"a", "pc", running, "1", 0}, {"b", "copy", running, "1", 0}, {"a", "pc", running, "1", 0}}, "two machines report in turn: copy and pc"},
		{"one start on two machines", []word{{"a", "pc", running, "1", 0}, {"a", "copy", running, "1", 0}, {"a", "pc", running, "1", 0}}, "two machines report in turn: copy and pc"},
		{"three machines", []word{{"a", "pc", running, "1", 0}, {"b", "copy", running, "1", 0}, {"c", "third", running, "1", 0}, {"a", "pc", running, "1", 0}}, "two machines"},
		{"a certificate that was replaced", []word{{"a", "pc", running, "1", 0}, {"a", "pc", running, "2", 0}, {"b", "pc", running, "1", 20 * time.Minute}}, "uses the certificate 1"},
		{"a connection that was open at the renewal", []word{{"a", "pc", running, "1", 0}, {"a", "pc", running, "2", 0}, {"a", "pc", running, "1", 5 * time.Minute}}, ""},
		{"a renewal whose answer was lost", []word{{"a", "pc", running, "1", 0}, {"a", "pc", running, "1", 20 * time.Minute}, {"a", "pc", running, "2", 0}}, ""},
		{"a certificate that nobody knows", []word{{"a", "pc", running, "77", 0}, {"a", "pc", running, "2", time.Hour}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.enrol(fleet.NewCode{Site: "s1"}, "pc", "main")
			w.issue("s1", "main", "pc", "2")
			say := func() {
				for _, s := range tc.words {
					w.pass(s.after)
					w.say("main", s.boot, s.host, s.phase, s.serial)
				}
			}
			say()
			a := w.agent("s1", "main")
			if tc.want == "" && !a.Clone.IsZero() || tc.want != "" && (a.Clone.IsZero() || !strings.Contains(a.CloneWhy, tc.want)) {
				t.Fatalf("clone %v: %q, want %q", a.Clone, a.CloneWhy, tc.want)
			}
			if a.State != fleet.StateActive {
				t.Error("a clone is noticed, not refused")
			}
			if tc.want == "" {
				return
			}
			say()
			if n := strings.Count(w.log.String(), "two machines have one identity"); n != 1 {
				t.Errorf("said %d times:\n%s", n, w.log.String())
			}
			if entries, err := w.reg.People().Entries(w.ctx, audit.Filter{Act: "agent.clone"}); err != nil || len(entries) != 1 || entries[0].Who != "system" {
				t.Error(entries, err)
			}
			if err := w.desk.Cleared(w.ctx, "s1", "main", ""); err != nil {
				t.Fatal(err)
			}
			if a := w.agent("s1", "main"); !a.Clone.IsZero() || a.CloneWhy != "" {
				t.Errorf("%+v", a)
			}
			say()
			if a := w.agent("s1", "main"); a.Clone.IsZero() {
				t.Error("there are two still, and nobody says so")
			}
		})
	}
}

// Names of agents with a site's token can be made up; those that are known go on being heard.
func TestMadeUpAgentsAreNotRemembered(t *testing.T) {
	w := newWorld(t)
	w.say("real", "b", "pc", presence.PhaseRunning, "")
	crowded := 0
	for i := range 250 {
		p := &presence.Presence{Boot: "b", Phase: presence.PhaseRunning}
		if err := w.Heard(w.ctx, agents.Hearing{Site: "s1", Agent: fmt.Sprint("x", i), Presence: p}); errors.Is(err, agents.ErrCrowded) {
			crowded++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if crowded != 51 {
		t.Error(crowded, "were refused")
	}
	w.say("real", "b", "pc", presence.PhaseRunning, "")
	if all, err := w.Presences(w.ctx); err != nil || len(all) != 200 || all[0].Agent != "real" {
		t.Error(len(all), err)
	}
	if all, err := w.Agents(w.ctx); err != nil || len(all) != 0 {
		t.Error("agents with a token have no identity of their own:", all, err)
	}
}

func TestOldThingsGo(t *testing.T) {
	w := newWorld(t)
	w.enrol(fleet.NewCode{Site: "s1"}, "pc", "main")
	w.enrol(fleet.NewCode{Site: "s2"}, "pc2", "main")
	for i := range 30 {
		w.issue("s1", "main", "pc", fmt.Sprint("r", i))
	}
	w.say("main", "b1", "pc", presence.PhaseRunning, "1")
	if err := w.desk.Revoke(w.ctx, "s2", "main", "", ""); err != nil {
		t.Fatal(err)
	}
	if err := w.Prune(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.standing("s2", "main", "pc2", fleet.StateRevoked)
	w.pass(500 * 24 * time.Hour)
	if err := w.Prune(w.ctx); err != nil {
		t.Fatal(err)
	}
	if codes, err := w.desk.Codes(w.ctx); err != nil || len(codes) != 0 {
		t.Error(codes, err)
	}
	if a := w.agent("s1", "main"); a.Serial != "r29" || a.Presence != nil {
		t.Errorf("%+v", a)
	}
	if err := w.Load(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.standing("s1", "main", "pc", fleet.StateActive)
	w.standing("s2", "main", "pc2", "")
}
