package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/api"
	"communewatch/collector/api/conference"
	"communewatch/collector/readiness"
	"communewatch/probes"
)

// conferenceCard is what a site's page says of its conference.
type conferenceCard struct {
	Calls     []callCard
	Endpoints []conference.Endpoint
	Services  []serviceRow
}

// RungState is the state that a rung of the readiness ladder looks like.
func (*sitePage) RungState(rung string) string {
	switch rung {
	case "reached":
		return "ok"
	case "failed":
		return "down"
	case "unknown":
		return "no_data"
	}
	return "none"
}

// Stopped names the rung that Stop of an endpoint is about: "L3"; "" where no rung says so.
func (*sitePage) Stopped(e conference.Endpoint) string {
	for _, r := range e.Rungs {
		if r.State != string(readiness.StateReached) && r.Reason == e.Stop {
			return "L" + strconv.Itoa(r.Level)
		}
	}
	return ""
}

// callCard is one check with calls: the newest call, and what became of the newest run where that is another thing.
type callCard struct {
	conference.Call
	State string // the check's
	Check string // its reason
	Notes []string
	Grade string // "" where nothing was graded
}

// serviceRow is one answer of a service or an endpoint.
type serviceRow struct {
	conference.Reading
	State, Check, Says string
}

// grades are the states that look like a grade.
var grades = map[string]string{"good": "ok", "degraded": "degraded", "bad": "down"}

// conferenceOf reads a site's conference. A page of a site is worth showing without it, so that a failure is only logged.
func (w *Web) conferenceOf(r *http.Request, p *sitePage) *conferenceCard {
	known, err := w.source.Conference(r.Context(), p.ID)
	if err != nil {
		w.log.Error("conference not read", "site", p.ID, "error", err)
		return nil
	}
	check := func(kind, agent, target, path string) api.Check {
		i := slices.IndexFunc(p.Site.Checks, func(c api.Check) bool {
			return c.Kind == kind && c.Agent == agent && c.Target == target && c.Path == path
		})
		if i < 0 {
			return api.Check{State: "none"}
		}
		return p.Site.Checks[i]
	}
	card := &conferenceCard{Endpoints: p.Site.Endpoints}
	seen := map[string]bool{}
	for _, call := range known.Calls {
		c := check(call.Kind, call.Agent, call.Target, call.Path)
		seen[c.Agent+"\x00"+c.Target+"\x00"+c.Path] = true
		out := callCard{Call: call, State: c.State, Check: c.Reason}
		if grade := call.Texts["grade"]; grades[grade] != "" {
			out.Grade = grade
		}
		out.Notes = p.notes(c.Outcome, call.Reading)
		card.Calls = append(card.Calls, out)
	}
	for _, c := range p.Site.Checks { // those that never called are said to be so
		if c.Kind == string(probes.KindWebRTC) && !seen[c.Agent+"\x00"+c.Target+"\x00"+c.Path] {
			card.Calls = append(card.Calls, callCard{
				Call:  conference.Call{Reading: conference.Reading{Kind: c.Kind, Agent: c.Agent, Target: c.Target, Path: c.Path}},
				State: c.State, Check: c.Reason, Notes: p.notes(c.Outcome, conference.Reading{})})
		}
	}
	for _, s := range known.Services {
		c := check(s.Kind, s.Agent, s.Target, s.Path)
		card.Services = append(card.Services, serviceRow{Reading: s, State: c.State, Check: c.Reason, Says: p.says(s)})
	}
	if len(card.Calls)+len(card.Services)+len(card.Endpoints) == 0 {
		return nil
	}
	return card
}

// notes says what a reader must know before believing a call's numbers.
func (p *sitePage) notes(outcome string, call conference.Reading) (out []string) {
	switch probes.Outcome(slices.Index(probes.OutcomeNames(), outcome)) {
	case probes.OutcomeHeld:
		out = append(out, p.T("conference.held"))
	case probes.OutcomeBusy:
		out = append(out, p.T("conference.busy"))
	}
	switch by := call.Texts["limited_by"]; by {
	case "agent", "reflector":
		out = append(out, p.T("conference.limited_"+by))
	}
	if call.Facts["rehearsal"] == 1 {
		out = append(out, p.T("conference.in_rehearsal"))
	}
	return out
}

// says words the answer of a service or an endpoint.
func (p *sitePage) says(s conference.Reading) string {
	var parts []string
	add := func(key string, pairs ...any) { parts = append(parts, p.T(key, pairs...)) }
	text := func(name string) {
		if v := s.Texts[name]; v != "" {
			parts = append(parts, v)
		}
	}
	number := func(name, key string) {
		if v, ok := s.Facts[name]; ok {
			add(key, "time", p.Millis(v))
		}
	}
	if v := s.Texts["transport"]; v != "" {
		parts = append(parts, strings.ToUpper(v))
	}
	switch probes.Kind(s.Kind) {
	case probes.KindSIP:
		switch code, ok := s.Facts["code"]; {
		case ok:
			parts = append(parts, strings.TrimSpace(p.Number(code, 0)+" "+s.Texts["reason"]))
		case s.Facts["connected"] == 1:
			add("conference.port_only")
		}
		text("user_agent")
		number("response_seconds", "conference.answered_in")
	case probes.KindSTUN:
		if v := s.Texts["mapped_address"]; v != "" {
			key := "conference.mapped"
			if s.Facts["nat"] == 1 {
				key = "conference.mapped_nat"
			}
			add(key, "address", v)
		}
		text("software")
		number("response_seconds", "conference.answered_in")
	case probes.KindH323:
		if s.Facts["connected"] == 1 {
			number("connect_seconds", "conference.h323_open")
		} else {
			add("conference.h323_shut")
		}
		if v := s.Texts["gatekeeper"]; v != "" {
			add("conference.gatekeeper_"+v, "name", s.Texts["gatekeeper_id"])
		}
	}
	if v, ok := s.Facts["retransmits"]; ok && v > 0 {
		add("conference.retransmits", "n", p.Number(v, 0))
	}
	if v, ok := s.Facts["cert_expiry_seconds"]; ok {
		add("conference.certificate", "duration", p.Seconds(v))
	}
	return strings.Join(parts, " · ")
}

// Fact is one named value of a call, ready to be read.
type Fact struct{ Key, Value, Note string }

// CallFacts are what is said of a call beside its flows; what was not measured is left out.
func (p *sitePage) CallFacts(c callCard) (out []Fact) {
	f := c.Facts
	has := func(name string) bool { _, ok := f[name]; return ok }
	if has("rtt_median_seconds") {
		note := ""
		if has("rtt_p95_seconds") {
			note = "P95 " + p.Millis(f["rtt_p95_seconds"])
		}
		out = append(out, Fact{"conference.rtt", p.Millis(f["rtt_median_seconds"]), note})
	}
	if has("setup_seconds") {
		var phases []string
		for _, name := range []string{"signalling", "ice", "dtls", "first_media"} {
			if has(name + "_seconds") {
				phases = append(phases, p.T("conference.phase_"+name)+" "+p.Millis(f[name+"_seconds"]))
			}
		}
		out = append(out, Fact{"conference.setup", p.Millis(f["setup_seconds"]), strings.Join(phases, " · ")})
	}
	if has("mos_audio") {
		note := "ITU-T G.107.2, Opus"
		var shares []string
		for _, name := range []string{"delay", "loss", "discard", "codec"} {
			if v := f["share_"+name]; v >= 0.5 {
				shares = append(shares, p.T("conference.share_"+name)+" "+p.Number(v, 0))
			}
		}
		if len(shares) > 0 {
			note += " · " + p.T("conference.shares", "list", strings.Join(shares, ", "))
		}
		out = append(out, Fact{"conference.mos_audio", p.Number(f["mos_audio"], 1) + " / 5", note})
	}
	if has("mos_audio_narrowband") {
		out = append(out, Fact{"conference.mos_narrow", p.Number(f["mos_audio_narrowband"], 1) + " / 5", "ITU-T G.107, G.711"})
	}
	if has("mos_video") {
		out = append(out, Fact{"conference.mos_video", p.Number(f["mos_video"], 1) + " / 5", "ITU-T G.1070"})
	}
	if has("usable_video_bps") {
		note := ""
		if end := c.Texts["ramp_end"]; end != "" {
			note = p.T("conference.ramp_" + end)
		}
		out = append(out, Fact{"conference.usable", p.BitRate(f["usable_video_bps"]), note})
	}
	if has("data_rtt_median_seconds") {
		out = append(out, Fact{"conference.data", p.Millis(f["data_rtt_median_seconds"]), p.T("conference.data_loss", "loss", p.Percent(f["data_loss_ratio"]))})
	}
	if has("residence_p99_seconds") {
		out = append(out, Fact{"conference.residence", p.Millis(f["residence_p99_seconds"]), p.T("conference.sessions", "n", p.Number(f["reflector_sessions"], 0))})
	}
	return out
}

// GradeState is the state that a grade looks like.
func (callCard) GradeState(grade string) string { return grades[grade] }

// FlowState is the state that the loss of a flow looks like, by the bands of conference rooms: below 1 % good, to 5 %
// degraded, above that bad; what came too late counts as lost.
func (callCard) FlowState(f conference.Flow) string {
	loss, ok := f.Facts["loss_ratio"]
	if !ok {
		return "no_data"
	}
	switch loss += f.Facts["discard_ratio"]; {
	case loss < 0.01:
		return "ok"
	case loss <= 0.05:
		return "degraded"
	}
	return "down"
}
