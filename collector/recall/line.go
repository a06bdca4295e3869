package recall

import (
	"cmp"
	"slices"

	"communewatch/collector/health"
	"communewatch/collector/store"
	"communewatch/probes"
)

// A month of a site is a million runs, so nothing is looked up per run: the store hands out each field of a check as
// a column in order of time, and the columns of a check are read side by side.

// column is one field of a check, read from front to back. A nil column holds nothing.
type column struct {
	store.Series
	row  string // health.Fact.Row
	next int
}

// at returns the index of the value at a time; the times asked for must rise.
func (c *column) at(t int64) (int, bool) {
	if c == nil {
		return 0, false
	}
	for c.next < len(c.Times) && c.Times[c.next] < t {
		c.next++
	}
	return c.next, c.next < len(c.Times) && c.Times[c.next] == t
}

// line is one check with its columns. Without outcome there is no verdict, and its rows prove nothing.
type line struct {
	id                                 health.CheckID
	order                              int // among lines, where runs begin at the same time
	outcome                            column
	interval, late, proof, explanation *column
	facts                              []*column
	next                               int // run

	text  string // the last outcome that was read
	means probes.Outcome
	known bool
}

// before reports whether l's next run comes before o's.
func (l *line) before(o *line) bool {
	a, b := l.outcome.Times[l.next], o.outcome.Times[o.next]
	return a < b || a == b && l.order < o.order
}

// verdict reads the next run's outcome. It is nearly always the one before.
func (l *line) verdict() (probes.Outcome, bool) {
	if text := l.outcome.Texts[l.next]; text != l.text {
		l.text = text
		l.means, l.known = probes.ParseOutcome(text)
	}
	return l.means, l.known
}

// lines puts the columns together by check. Facts do not carry the check's layer; where a check changed its layer,
// each of its lines reads them. Identities met before are taken from known, and new ones put there: the judge
// compares them for each run, which costs next to nothing when they are the same strings in memory.
func (c *columns) lines(known map[health.CheckID]health.CheckID) []*line {
	lines := map[health.CheckID]*line{}
	var order []*line
	for _, s := range c.verdicts {
		id := health.CheckID{
			Site: s.Tags.Get("site"), Agent: s.Tags.Get("agent"), Target: s.Tags.Get("target"),
			Kind: probes.Kind(s.Tags.Get("kind")), Path: probes.Path(s.Tags.Get("path")), Layer: probes.Layer(s.Tags.Get("layer")),
		}
		if same, ok := known[id]; ok {
			id = same
		} else {
			known[id] = id
		}
		l := lines[id]
		if l == nil {
			l = &line{id: id}
			lines[id] = l
			order = append(order, l)
		}
		switch {
		case s.Field == "outcome" && s.Texts != nil:
			l.outcome = column{Series: s}
		case s.Field == "interval_seconds" && s.Values != nil:
			l.interval = &column{Series: s}
		case s.Field == "late_seconds" && s.Values != nil:
			l.late = &column{Series: s}
		case s.Field == "path_proof" && s.Texts != nil:
			l.proof = &column{Series: s}
		case s.Field == "error" && s.Texts != nil:
			l.explanation = &column{Series: s}
		}
	}
	specs := map[string]probes.MeasurementSpec{} // a kind of probe may return several
	for _, m := range probes.Schema() {
		specs[m.Name] = m
	}
	byCheck := map[health.CheckID][]column{} // without layers
	for _, s := range c.facts {
		if s.Values == nil {
			continue
		}
		spec := specs[s.Measurement]
		id := health.CheckID{Site: s.Tags.Get("site"), Agent: s.Tags.Get("agent"), Target: s.Tags.Get("target"),
			Kind: spec.Kind, Path: probes.Path(s.Tags.Get("path"))}
		byCheck[id] = append(byCheck[id], column{Series: s, row: spec.Row(s.Tags.Get)})
	}
	slices.SortFunc(order, func(a, b *line) int {
		return cmp.Or(cmp.Compare(a.id.Target, b.id.Target), cmp.Compare(a.id.Agent, b.id.Agent), cmp.Compare(a.id.Kind, b.id.Kind),
			cmp.Compare(a.id.Path, b.id.Path), cmp.Compare(a.id.Layer, b.id.Layer))
	})
	for i, l := range order {
		l.order = i
		bare := l.id
		bare.Layer = ""
		for _, c := range byCheck[bare] {
			l.facts = append(l.facts, &c)
		}
	}
	return order
}
