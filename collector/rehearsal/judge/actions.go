package judge

import (
	"cmp"
	"slices"

	"communewatch/collector/rehearsal"
)

// maxActions is how many are told: people do three things before a meeting, not ten.
const maxActions = 3

// What a site weighs that an action would help. A hub that fails goes before everything.
const (
	weightHub     = 1e6
	weightNoGo    = 3.0
	weightRisk    = 1.5
	weightSilent  = 1.2
	weightUnknown = 1.0
	weightAgain   = 0.5
)

type weighed struct {
	rehearsal.Action
	weight float64
	worst  int // rank of the mark that Why is of
}

// actions returns the most useful things to do.
func (j *judge) actions() []rehearsal.Action {
	list := map[rehearsal.ActionCode]*weighed{}
	add := func(code rehearsal.ActionCode, site string, m rehearsal.Mark, why rehearsal.Why, weight float64) {
		w := list[code]
		if w == nil {
			w = &weighed{Action: rehearsal.Action{Code: code, Why: why}, worst: m.Rank()}
			list[code] = w
		}
		if m.Rank() > w.worst || m.Rank() == w.worst && why.Loss > w.Why.Loss {
			w.Why, w.worst = why, m.Rank()
		}
		w.Sites = append(w.Sites, site)
		w.weight += weight
	}
	of := func(m rehearsal.Mark) float64 {
		if m == rehearsal.NoGo {
			return weightNoGo
		}
		return weightRisk
	}
	for i := range j.verdict.Rows {
		r := &j.verdict.Rows[i]
		switch call := r.Call; call.Why.Code {
		case rehearsal.CodeLoss, rehearsal.CodeLossSometimes, rehearsal.CodeDelay, rehearsal.CodeScore, rehearsal.CodeSetup:
			add(rehearsal.ActLine, r.Site, call.Mark, call.Why, of(call.Mark))
		case rehearsal.CodeNotConnected, rehearsal.CodeNoResult:
			add(rehearsal.ActAgents, r.Site, call.Mark, call.Why, weightSilent)
		case rehearsal.CodeLimitedAgent, rehearsal.CodeAgent:
			add(rehearsal.ActMachines, r.Site, call.Mark, call.Why, weightUnknown)
		case rehearsal.CodeLimitedHub, rehearsal.CodeHubSlow, rehearsal.CodeHubLoad, rehearsal.CodeHubAway:
			add(rehearsal.ActHubBusy, r.Site, call.Mark, j.verdict.Hub.Why, weightRisk)
		case rehearsal.CodeRefused:
			add(rehearsal.ActRefusals, r.Site, call.Mark, call.Why, weightUnknown)
		case rehearsal.CodeMasked:
			add(rehearsal.ActAgain, r.Site, call.Mark, call.Why, weightAgain)
		}
		switch e := r.Cells[rehearsal.ColumnEndpoint]; e.Why.Code {
		case rehearsal.CodeSilent:
			add(rehearsal.ActEndpoint, r.Site, e.Mark, e.Why, weightNoGo)
		case rehearsal.CodeLevel:
			if e.Mark == rehearsal.AtRisk {
				add(rehearsal.ActSignal, r.Site, e.Mark, e.Why, weightUnknown)
			}
		}
		if lan := r.Cells[rehearsal.ColumnLAN]; lan.Mark.Rank() >= rehearsal.AtRisk.Rank() {
			add(rehearsal.ActLAN, r.Site, lan.Mark, lan.Why, of(lan.Mark))
		}
		for _, c := range []rehearsal.Column{rehearsal.ColumnBroadband, rehearsal.ColumnDedicated} {
			cell := r.Cells[c]
			if cell.Why.Code == rehearsal.CodeHealth && cell.Mark == rehearsal.NoGo && (list[rehearsal.ActLine] == nil || !slices.Contains(list[rehearsal.ActLine].Sites, r.Site)) {
				add(rehearsal.ActLine, r.Site, cell.Mark, cell.Why, weightRisk)
			}
		}
	}
	all := make([]weighed, 0, len(list)+len(j.verdict.Shared)+1)
	for _, w := range list {
		slices.Sort(w.Sites)
		all = append(all, *w)
	}
	for _, s := range j.verdict.Shared {
		m := band(s.Loss)
		all = append(all, weighed{Action: rehearsal.Action{Code: rehearsal.ActDistrict, Sites: s.Sites, Why: rehearsal.Why{
			Code: rehearsal.CodeShared, Loss: s.Loss, Direction: s.Way, N: len(s.Sites), Of: s.Of, District: s.District,
		}}, weight: of(m) * float64(len(s.Sites))})
	}
	switch hub := j.verdict.Hub; {
	case hub.Mark.Rank() < rehearsal.AtRisk.Rank():
	case server(hub.Why.Code):
		if list[rehearsal.ActHubBusy] == nil {
			all = append(all, weighed{Action: rehearsal.Action{Code: rehearsal.ActHubBusy, Why: hub.Why}, weight: weightUnknown})
		}
	default:
		all = append(all, weighed{Action: rehearsal.Action{Code: rehearsal.ActHub, Sites: j.sites(), Why: hub.Why}, weight: weightHub})
	}
	slices.SortFunc(all, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Why.District, b.Why.District))
	})
	out := []rehearsal.Action{}
	for _, w := range all[:min(len(all), maxActions)] {
		out = append(out, w.Action)
	}
	if len(out) == 0 && len(j.verdict.Rows) > 0 && j.verdict.Counts[rehearsal.Go] == len(j.verdict.Rows) {
		out = append(out, rehearsal.Action{Code: rehearsal.ActNoTrouble})
	}
	return out
}
