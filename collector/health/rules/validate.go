package rules

import (
	"fmt"
	"math"
	"time"

	"communewatch/probes"
)

// Bounds of a config, far above what makes sense.
const (
	maxLossRuns = 60
	maxLimits   = 1000
	maxRules    = 1000 // maintenance entries, office hours
)

// Validate reports every mistake, each at its place relative to the rules.
func (r *Rules) Validate(problem func(at, format string, args ...any)) {
	known, own := map[string]probes.FieldSpec{}, map[string]bool{}
	for _, m := range probes.Schema() {
		for _, f := range m.Fields {
			known[m.Name+"."+f.Key] = f
			own[m.Name+"."+f.Key] = m.Kind == ""
		}
	}
	below := map[string]bool{}
	for _, l := range []struct {
		name string
		list []Limit
	}{{"overrides", r.Overrides}, {"limits", r.Limits}} {
		if len(l.list) > maxLimits {
			problem(l.name, "holds %d entries; at most %d", len(l.list), maxLimits)
			continue
		}
		for i := range l.list {
			l.list[i].validate(fmt.Sprintf("%s[%d]", l.name, i), known, own, below, problem)
		}
	}
	if r.LossRuns < 1 || r.LossRuns > maxLossRuns {
		problem("loss_runs", "must be 1 to %d", maxLossRuns)
	}
	for _, d := range []struct {
		at string
		d  Delay
	}{{"worse", r.Worse}, {"better", r.Better}} {
		if d.d.Runs < 1 || d.d.Runs > 100 {
			problem(d.at+".runs", "must be 1 to 100")
		}
		if d.d.For < 0 || d.d.For > 24*time.Hour {
			problem(d.at+".for", "must be 0s to 24h")
		}
	}
	if r.Flapping.Changes < 0 || r.Flapping.Changes > 100 {
		problem("flapping.changes", "must be 1 to 100, or 0 to damp nothing")
	}
	if r.Flapping.Within < 0 || r.Flapping.Hold < 0 {
		problem("flapping", "times must not be negative")
	}
	if r.Silence.Intervals < 1 || r.Silence.Intervals > 100 || math.IsNaN(r.Silence.Intervals) {
		problem("silence.intervals", "must be 1 to 100; below 2 every late result is silence")
	}
	if r.Silence.Grace < 0 || r.Silence.Grace > 24*time.Hour {
		problem("silence.grace", "must be 0s to 24h")
	}
	if r.Silence.Interval <= 0 {
		problem("silence.interval", "must be above zero, for example 60s")
	}
	if r.Silence.Forget < time.Minute {
		problem("silence.forget", "must be at least 1m, for example 24h")
	}
	if len(r.Maintenance) > maxRules {
		problem("maintenance", "holds %d entries; at most %d", len(r.Maintenance), maxRules)
	}
	for i, m := range r.Maintenance {
		at := fmt.Sprintf("maintenance[%d]", i)
		if m.From.IsZero() || m.To.IsZero() {
			problem(at, "needs from and to, for example 2026-09-02T08:00:00+07:00")
		} else if !m.To.After(m.From) {
			problem(at+".to", "must be after from")
		}
		validateSites(at+".sites", m.Sites, problem)
	}
	if len(r.OfficeHours) > maxRules {
		problem("office_hours", "holds %d entries; at most %d", len(r.OfficeHours), maxRules)
	}
	for i := range r.OfficeHours {
		at := fmt.Sprintf("office_hours[%d]", i)
		validateSites(at+".sites", r.OfficeHours[i].Sites, problem)
		newCalendar(r.OfficeHours[i], func(field, format string, args ...any) { problem(at+"."+field, format, args...) })
	}
}

func (l *Limit) validate(at string, known map[string]probes.FieldSpec, own, below map[string]bool, problem func(string, string, ...any)) {
	spec, ok := known[l.Field]
	switch {
	case l.Field == "":
		problem(at+".field", "is missing; for example icmp.loss_ratio")
	case !ok:
		problem(at+".field", "%.200q is not a field of the contract; for example icmp.loss_ratio", l.Field)
	case spec.Type == probes.TypeString:
		problem(at+".field", "%s is text; only numbers can have limits", l.Field)
	case own[l.Field]:
		problem(at+".field", "%s is not measured by a probe; limits are for what icmp, http, webrtc and other kinds of checks measure", l.Field)
	}
	if l.Layer != "" && !l.Layer.Valid() {
		problem(at+".layer", "%.200q is not a layer; use lan, broadband, dedicated or conference", string(l.Layer))
	}
	if l.Path != "" && !l.Path.Valid() {
		problem(at+".path", "%.200q is not a path; use lan, broadband or dedicated", string(l.Path))
	}
	if l.Target != "" {
		if err := probes.CheckName(l.Target); err != nil {
			problem(at+".target", "%v", err)
		}
	}
	validateSites(at+".sites", l.Sites, problem)
	values := []*float64{l.Degraded, l.Bad, l.Down}
	var last *float64
	for i, v := range values {
		if v == nil {
			continue
		}
		name := []string{"degraded", "bad", "down"}[i]
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			problem(at+"."+name, "must be a finite number")
			continue
		}
		if last != nil && (l.Below && *v > *last || !l.Below && *v < *last) {
			problem(at+"."+name, "must not be better than the limit before it; the order is degraded, bad, down")
		}
		last = v
	}
	if first, seen := below[l.Field]; seen && first != l.Below {
		problem(at+".below", "differs from another limit of %s; a field is bad in one direction only", l.Field)
	}
	below[l.Field] = l.Below
}

func validateSites(at string, sites []string, problem func(string, string, ...any)) {
	for i, s := range sites {
		if err := probes.CheckName(s); err != nil {
			problem(fmt.Sprintf("%s[%d]", at, i), "%v", err)
		}
	}
}
