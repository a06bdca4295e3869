package judge

import (
	"cmp"
	"maps"
	"slices"

	"communewatch/collector/rehearsal"
	"communewatch/probes"
)

// calls judges a site's calls alone.
func (j *judge) calls(site string) rehearsal.Row {
	row := rehearsal.Row{Site: site, Cells: map[rehearsal.Column]rehearsal.Cell{}, Steps: make([]rehearsal.StepLoss, len(j.steps))}
	if e := j.evidence[site]; e != nil {
		row.District = e.District
	}
	samples := j.samples[site]
	joins := j.record.Plan.Joins(site)
	unproven := false
	for k := range samples {
		s := &samples[k]
		if joins < 0 || k < joins || s.Result == nil {
			continue
		}
		row.Steps[k].Progress = s.Progress
		if s.Path != "" {
			row.Path, unproven = string(s.Path), s.Proof == probes.ProofUnproven
		}
		if s.Call == nil {
			continue
		}
		for _, d := range []struct {
			d    probes.Direction
			into **float64
		}{{probes.DirectionUp, &row.Steps[k].Up}, {probes.DirectionDown, &row.Steps[k].Down}} {
			if v, _, ok := s.Lost(d.d); ok {
				*d.into = &v
			} else if v, _, ok := s.Lost(probes.DirectionRound); ok {
				*d.into = &v
			}
		}
		if l := s.Call.LimitedBy; l != "none" && s.kind != kindMeasured {
			row.Steps[k].Limited = l
		}
	}
	row.Call = j.call(samples, &row)
	row.Call.Unproven = unproven
	return row
}

// call judges the samples of one site.
func (j *judge) call(samples []sample, row *rehearsal.Row) rehearsal.Cell {
	var own, masked []int // steps in which the line was measured, without and with a hub that loses
	failed, tried := 0, 0
	var failure, last *sample
	for k := range samples {
		s := &samples[k]
		switch s.kind {
		case kindNone:
			continue
		case kindMeasured:
			tried++
			// Of a hub that loses one way only, the other way is still the site's own.
			if j.steps[k].up || j.steps[k].down {
				masked = append(masked, k)
			} else {
				own = append(own, k)
			}
		case kindFailed:
			tried++
			if !j.steps[k].setup {
				failed++
				failure = s
			}
		}
		last = s
	}
	j.facts(samples, own, masked, row)
	if len(own)+len(masked) == 0 {
		if failure != nil {
			return rehearsal.Cell{Mark: rehearsal.NoGo, Why: rehearsal.Why{Code: rehearsal.CodeSetup, Outcome: failure.Outcome, Text: failure.Reason, N: failed, Of: tried}}
		}
		return unknown(last, j)
	}
	cell := j.lossOf(samples, own, masked)
	if cell.Mark == rehearsal.Go || cell.Mark == rehearsal.Unknown {
		if c, bad := scores(row); bad {
			cell = c
		}
	}
	if failure != nil && cell.Mark.Rank() < rehearsal.AtRisk.Rank() {
		mark := rehearsal.AtRisk
		if 2*failed > tried {
			mark = rehearsal.NoGo
		}
		cell = rehearsal.Cell{Mark: mark, Why: rehearsal.Why{Code: rehearsal.CodeSetup, Outcome: failure.Outcome, Text: failure.Reason, N: failed, Of: tried}}
	}
	return cell
}

// unknown says why nothing was measured at a site.
func unknown(last *sample, j *judge) rehearsal.Cell {
	why := rehearsal.Why{Code: rehearsal.CodeNotCalled}
	if last != nil {
		why.Outcome, why.Text = last.Outcome, last.Reason
		switch last.kind {
		case kindHalted:
			return rehearsal.Cell{Mark: rehearsal.Unknown, Why: *j.halt}
		case kindLimitedAgent:
			why.Code = rehearsal.CodeLimitedAgent
			if last.Call != nil && len(last.Call.Limits) > 0 {
				why.Text = last.Call.Limits[0]
			}
		case kindLimitedHub:
			why.Code = rehearsal.CodeLimitedHub
		case kindFailed: // the hub's
			why.Code = rehearsal.CodeMasked
		case kindBusy:
			why.Code = rehearsal.CodeHubBusy
			why.N, why.Of = j.steps[last.Step].busy, j.steps[last.Step].told
		case kindAgent:
			why.Code = rehearsal.CodeAgent
		case kindRefused:
			why.Code = rehearsal.CodeRefused
		case kindNoResult:
			why.Code = rehearsal.CodeNoResult
		case kindNotConnected:
			why.Code = rehearsal.CodeNotConnected
		}
	}
	return rehearsal.Cell{Mark: rehearsal.Unknown, Why: why}
}

// facts takes the numbers beside loss into a row: the median of round trips, the worst of scores, over the site's own
// steps where there are any.
func (j *judge) facts(samples []sample, own, masked []int, row *rehearsal.Row) {
	if len(own) == 0 {
		own = masked
	}
	var rtts []float64
	for _, k := range own {
		c := samples[k].Call
		busy := c.LimitedBy == "agent" || c.LimitedBy == "reflector" // then what is bad may be the ends' own
		if c.RTT != nil && !(busy && c.RTT.Median > riskRTT) {
			rtts = append(rtts, c.RTT.Median)
		}
		if q := c.Quality; q != nil {
			if q.Audio != nil && !(busy && q.Audio.MOS < riskScore) && (row.MOS == nil || q.Audio.MOS < *row.MOS) && ownScore(&samples[k]) {
				mos := q.Audio.MOS
				row.MOS = &mos
			}
			if q.Video != nil && (row.MOSVideo == nil || q.Video.MOS < *row.MOSVideo) {
				mos := q.Video.MOS
				row.MOSVideo = &mos
			}
		}
	}
	if len(rtts) > 0 {
		m := median(rtts)
		row.RTT = &m
	}
}

// ownScore reports whether a score is to be shown and judged: a low one that the codec alone explains is not.
func ownScore(s *sample) bool {
	q := s.Call.Quality
	return q.Audio.MOS >= riskScore || q.Shares == nil || q.Shares.Delay+q.Shares.Loss+q.Shares.Discard >= ownPoints
}

func scores(row *rehearsal.Row) (rehearsal.Cell, bool) {
	switch {
	case row.RTT != nil && *row.RTT > badRTT:
		return rehearsal.Cell{Mark: rehearsal.NoGo, Why: rehearsal.Why{Code: rehearsal.CodeDelay, Seconds: *row.RTT}}, true
	case row.MOS != nil && *row.MOS < badScore:
		return rehearsal.Cell{Mark: rehearsal.NoGo, Why: rehearsal.Why{Code: rehearsal.CodeScore, Score: *row.MOS}}, true
	case row.RTT != nil && *row.RTT > riskRTT:
		return rehearsal.Cell{Mark: rehearsal.AtRisk, Why: rehearsal.Why{Code: rehearsal.CodeDelay, Seconds: *row.RTT}}, true
	case row.MOS != nil && *row.MOS < riskScore:
		return rehearsal.Cell{Mark: rehearsal.AtRisk, Why: rehearsal.Why{Code: rehearsal.CodeScore, Score: *row.MOS}}, true
	}
	return rehearsal.Cell{}, false
}

// lossOf judges a site's loss: in its own steps as it is, in masked ones by what is above the median of all.
func (j *judge) lossOf(samples []sample, own, masked []int) rehearsal.Cell {
	var worst rehearsal.Why
	lossy, bad := 0, 0
	look := func(k int, up, down float64) {
		s := &samples[k]
		if s.lostUp < minLost {
			up = 0
		}
		if s.lostDown < minLost {
			down = 0
		}
		loss, d := up, probes.DirectionUp
		if down > up {
			loss, d = down, probes.DirectionDown
		}
		if loss > worst.Loss || worst.Direction == "" {
			worst.Loss, worst.Direction = loss, d
		}
		if loss >= riskLoss {
			lossy++
		}
		if loss > badLoss {
			bad++
		}
	}
	steps := own
	for _, k := range own {
		look(k, samples[k].up, samples[k].down)
	}
	if len(own) == 0 {
		steps = masked
		clear := false
		for _, k := range masked {
			st := &j.steps[k]
			up, down := samples[k].up, samples[k].down
			if st.up {
				up = excess(up, st.summary.MedianUp)
			}
			if st.down {
				down = excess(down, st.summary.MedianDown)
			}
			look(k, up, down)
			clear = clear || up >= riskLoss || down >= riskLoss
		}
		if !clear {
			return rehearsal.Cell{Mark: rehearsal.Unknown, Why: rehearsal.Why{Code: rehearsal.CodeMasked}}
		}
	}
	n := len(steps)
	worst.N, worst.Of = lossy, n
	switch {
	case lossy == 0:
		worst.Code = rehearsal.CodeClean
		return rehearsal.Cell{Mark: rehearsal.Go, Why: worst}
	case 2*lossy >= n:
		worst.Code = rehearsal.CodeLoss
	default:
		worst.Code = rehearsal.CodeLossSometimes
	}
	if 2*bad >= n && bad > 0 {
		return rehearsal.Cell{Mark: rehearsal.NoGo, Why: worst}
	}
	return rehearsal.Cell{Mark: rehearsal.AtRisk, Why: worst}
}

// excess is what a site loses beyond what all lose: sites differ by chance, the more the more is lost, so half the
// median again is still chance.
func excess(loss, median float64) float64 {
	if loss <= 1.5*median+riskLoss {
		return 0
	}
	return loss - median
}

// shared finds districts whose sites lose together, and says so in their rows.
func (j *judge) shared(rows []rehearsal.Row) {
	type group struct {
		lossy, measured []int // rows
	}
	groups := map[string]*group{}
	lossy, measured := 0, 0
	for i := range rows {
		r := &rows[i]
		own := r.Call.Why.Code == rehearsal.CodeLoss
		if !own && r.Call.Mark != rehearsal.Go && r.Call.Why.Code != rehearsal.CodeLossSometimes {
			continue // nothing was measured of its line, or something else is wrong
		}
		g := groups[r.District]
		if g == nil {
			g = &group{}
			groups[r.District] = g
		}
		g.measured = append(g.measured, i)
		measured++
		if own {
			g.lossy = append(g.lossy, i)
			lossy++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		m, n := len(g.lossy), len(g.measured)
		others, othersLossy := measured-n, lossy-m
		if name == "" || m < minShared || float64(m) < blameShare*float64(n) || others < minShared || float64(othersLossy) >= calmShare*float64(others) {
			continue
		}
		s := rehearsal.Shared{District: name, Of: n}
		var losses []float64
		ways := map[probes.Direction]int{}
		for _, i := range g.lossy {
			why := &rows[i].Call.Why
			s.Sites = append(s.Sites, rows[i].Site)
			losses = append(losses, why.Loss)
			ways[why.Direction]++
			*why = rehearsal.Why{Code: rehearsal.CodeShared, Loss: why.Loss, Direction: why.Direction, N: m, Of: n, District: name}
		}
		s.Loss = median(losses)
		s.Way = slices.MaxFunc(slices.Sorted(maps.Keys(ways)), func(a, b probes.Direction) int { return cmp.Compare(ways[a], ways[b]) })
		j.verdict.Shared = append(j.verdict.Shared, s)
	}
}

// columns fills the cells of a row from its calls, the health layers and the endpoints.
func (j *judge) columns(r *rehearsal.Row) {
	e := j.evidence[r.Site]
	for _, c := range []rehearsal.Column{rehearsal.ColumnLAN, rehearsal.ColumnBroadband, rehearsal.ColumnDedicated} {
		cell := health(e, probes.Layer(c))
		if string(c) == r.Path && r.Call.Mark != rehearsal.Unknown {
			layer := cell
			cell = r.Call
			cell.Layer = layer.Layer
			if cell.Mark == rehearsal.Go && layer.Mark.Rank() >= rehearsal.AtRisk.Rank() {
				// The calls went well, half a minute of them; the layer's own checks go on all day.
				cell.Mark, cell.Why = rehearsal.AtRisk, layer.Why
			}
		} else if string(c) == r.Path && cell.Mark == rehearsal.Unknown {
			cell.Why = r.Call.Why
		}
		r.Cells[c] = cell
	}
	r.Cells[rehearsal.ColumnEndpoint] = endpoint(e)
	hub := j.verdict.Hub
	switch r.Call.Why.Code {
	case rehearsal.CodeNotConnected, rehearsal.CodeNotCalled, rehearsal.CodeRefused, rehearsal.CodeAgent:
		hub = rehearsal.Cell{Mark: rehearsal.Unknown, Why: r.Call.Why}
	}
	r.Cells[rehearsal.ColumnHub] = hub
	for _, c := range rehearsal.Columns() {
		if r.Cells[c].Mark == rehearsal.Unknown {
			r.Unproven = append(r.Unproven, c)
		}
	}
}

// health is what a layer's state makes of a cell.
func health(e *rehearsal.Evidence, l probes.Layer) rehearsal.Cell {
	cell := rehearsal.Cell{Mark: rehearsal.Unknown, Why: rehearsal.Why{Code: rehearsal.CodeNotCalled}}
	if e == nil {
		return cell
	}
	for i := range e.Layers {
		s := &e.Layers[i]
		if s.Layer != l {
			continue
		}
		cell.Layer = s
		cell.Why = rehearsal.Why{Code: rehearsal.CodeHealth, State: s.State, Text: string(s.Reason.Code)}
		switch s.State {
		case "ok":
			cell.Mark = rehearsal.Go
		case "degraded":
			cell.Mark = rehearsal.AtRisk
		case "down":
			cell.Mark = rehearsal.NoGo
		}
	}
	return cell
}

// endpoint is what the ladder makes of a cell: the endpoint that stands lowest decides, as each is a room.
func endpoint(e *rehearsal.Evidence) rehearsal.Cell {
	if e == nil || len(e.Rooms) == 0 {
		return rehearsal.Cell{Mark: rehearsal.Unknown, Why: rehearsal.Why{Code: rehearsal.CodeNoEndpoint}}
	}
	var lowest *rehearsal.Room
	for i := range e.Rooms {
		if r := &e.Rooms[i]; r.Known && (lowest == nil || r.Level < lowest.Level) {
			lowest = r
		}
	}
	if lowest == nil {
		return rehearsal.Cell{Mark: rehearsal.Unknown, Why: rehearsal.Why{Code: rehearsal.CodeStale, Text: e.Rooms[0].Endpoint}}
	}
	if lowest.Level < 0 {
		return rehearsal.Cell{Mark: rehearsal.NoGo, Why: rehearsal.Why{Code: rehearsal.CodeSilent, Text: lowest.Endpoint}}
	}
	level := lowest.Level
	cell := rehearsal.Cell{Mark: rehearsal.Go, Level: &level, Why: rehearsal.Why{Code: rehearsal.CodeLevel, Level: level, Text: lowest.Endpoint}}
	if level < 2 { // it answers; whether it can take part in a meeting is not known
		cell.Mark = rehearsal.AtRisk
	}
	return cell
}

// overall sums a row up: the calls and the endpoint decide; the hub where it is at fault; what the meeting does not
// use makes it a risk at most.
func (j *judge) overall(r *rehearsal.Row) {
	r.Overall, r.Decided, r.Why = r.Call.Mark, rehearsal.Column(r.Path), r.Call.Why
	take := func(m rehearsal.Mark, c rehearsal.Column, why rehearsal.Why) {
		if m.Rank() > r.Overall.Rank() {
			r.Overall, r.Decided, r.Why = m, c, why
		}
	}
	if hub := r.Cells[rehearsal.ColumnHub]; !server(hub.Why.Code) && hub.Mark.Rank() >= rehearsal.AtRisk.Rank() {
		take(hub.Mark, rehearsal.ColumnHub, hub.Why)
	}
	if e := r.Cells[rehearsal.ColumnEndpoint]; e.Why.Code != rehearsal.CodeNoEndpoint {
		take(e.Mark, rehearsal.ColumnEndpoint, e.Why)
	}
	lines, down := 0, 0
	for _, c := range []rehearsal.Column{rehearsal.ColumnLAN, rehearsal.ColumnBroadband, rehearsal.ColumnDedicated} {
		cell := r.Cells[c]
		if c != rehearsal.ColumnLAN && cell.Mark != rehearsal.Unknown {
			lines++
			if cell.Mark == rehearsal.NoGo {
				down++
			}
		}
		if cell.Mark.Rank() >= rehearsal.AtRisk.Rank() {
			take(rehearsal.AtRisk, c, cell.Why)
		}
	}
	if r.Overall == rehearsal.AtRisk {
		switch r.Call.Why.Code { // no data is no risk, whatever was known before it fell silent
		case rehearsal.CodeNotConnected:
			r.Overall, r.Decided, r.Why = rehearsal.Unknown, "", r.Call.Why
		case rehearsal.CodeNoResult:
			r.Overall = rehearsal.Unknown
		}
	}
	switch r.Call.Why.Code {
	case rehearsal.CodeNotConnected, rehearsal.CodeNoResult, rehearsal.CodeNotCalled:
		if lines > 0 && lines == down { // silence, but the site's own checks said before that its lines are down
			for _, c := range []rehearsal.Column{rehearsal.ColumnBroadband, rehearsal.ColumnDedicated} {
				if r.Cells[c].Mark == rehearsal.NoGo {
					take(rehearsal.NoGo, c, r.Cells[c].Why)
				}
			}
		}
		if r.Call.Why.Code == rehearsal.CodeNoResult && r.Overall.Rank() < rehearsal.AtRisk.Rank() {
			r.Decided, r.Why = "", rehearsal.Why{Code: rehearsal.CodeNotHeard}
		}
	}
}

// server reports whether a code is of the test server at the hub rather than of the hub or its line: the meeting does not
// go through it.
func server(c rehearsal.Code) bool {
	switch c {
	case rehearsal.CodeHubOverloaded, rehearsal.CodeHubSlow, rehearsal.CodeHubLoad, rehearsal.CodeHubAway:
		return true
	}
	return false
}
