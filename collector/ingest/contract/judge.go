package contract

import (
	"time"

	"communewatch/collector/health"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Judge is who hears of every stored run; *health.Judge does it.
type Judge interface {
	// Observe may keep what observations say, but not the slices, which are used again.
	Observe(obs []health.Observation)
	ObserveAgent(site, agent string, at time.Time, version string, facts map[string]float64)
}

// Reporter reports rows to a judge. It is used again and again, by one caller at a time.
type Reporter struct {
	out   []health.Observation
	facts []health.Fact
}

// Report turns checked rows into observations; of holds each row's series, and rows without fields are passed over. A
// run's rows follow one another with the check row last, and share everything but layer and measurement; their facts
// go into the check row's observation. Facts whose check row is not next (a batch of another writer, a row that was
// refused) go on their own.
func (r *Reporter) Report(rows []wire.Row, of []*Series, j Judge) {
	out, facts := r.out[:0], r.facts[:0]
	var run *Series // whose facts are not handed over yet, from facts[begin:]
	var runTime int64
	begin := 0
	flush := func() {
		if run != nil {
			out = append(out, health.Observation{Check: run.check(), Time: time.Unix(0, runTime), Facts: facts[begin:len(facts):len(facts)]})
			run = nil
		}
	}
	for i := range rows {
		row, s := &rows[i], of[i]
		if row.Fields == nil {
			continue
		}
		switch {
		case s.measurement.judged:
			if run != nil && !(run.sameRun(s) && runTime == row.Time) {
				flush()
			}
			if run == nil {
				run, runTime, begin = s, row.Time, len(facts)
			}
			facts = s.appendFacts(facts, row.Fields)
			if len(facts) == begin {
				run = nil
			}
		case s.measurement.name == "check":
			o, ok := s.measurement.verdict(row.Fields)
			if !ok {
				continue
			}
			o.Check, o.Time = s.check(), time.Unix(0, row.Time)
			if run != nil && run.sameRun(s) && runTime == row.Time {
				o.Facts = facts[begin:len(facts):len(facts)]
				run = nil
			}
			flush()
			out = append(out, o)
		case s.measurement.name == "agent":
			version, numbers := s.measurement.report(row.Fields)
			j.ObserveAgent(s.Site, s.Agent, time.Unix(0, row.Time), version, numbers)
		}
	}
	flush()
	if len(out) > 0 {
		j.Observe(out)
	}
	clear(out) // of texts that nobody needs any more
	r.out, r.facts = out, facts
}

func (s *Series) sameRun(t *Series) bool {
	return s.target == t.target && s.kind == t.kind && s.path == t.path && s.Agent == t.Agent && s.Site == t.Site
}

func (s *Series) check() health.CheckID {
	return health.CheckID{Site: s.Site, Agent: s.Agent, Target: s.target, Kind: s.kind, Path: s.path, Layer: s.layer}
}

func (s *Series) appendFacts(facts []health.Fact, fields []wire.Field) []health.Fact {
	m := s.measurement
	m.each(fields, func(spec *field, f *wire.Field) {
		if spec.judged {
			facts = append(facts, health.Fact{Measurement: m.name, Field: spec.Key, Value: f.Num, Row: s.row})
		}
	})
	return facts
}

// verdict reads the fields of a check row. One that does not say how its run ended is none.
func (m *measurement) verdict(fields []wire.Field) (o health.Observation, ok bool) {
	m.each(fields, func(s *field, f *wire.Field) {
		switch s.Key {
		case "outcome":
			ok = true
			o.Outcome = probes.Outcome(s.enum[string(f.Str)]) // the contract lists them in order
		case "interval_seconds":
			o.Interval = health.Seconds(f.Num)
		case "late_seconds":
			o.Late = health.Seconds(f.Num)
		case "path_proof":
			o.Proof = probes.Proof(s.Enum[s.enum[string(f.Str)]]) // the contract's copy
		case "error":
			o.Error = string(f.Str)
		}
	})
	return o, ok
}

// report reads the fields of an agent row.
func (m *measurement) report(fields []wire.Field) (version string, facts map[string]float64) {
	facts = make(map[string]float64, len(fields))
	m.each(fields, func(s *field, f *wire.Field) {
		if s.Type != probes.TypeString {
			facts[s.Key] = f.Num
		} else if s.Key == "version" {
			version = string(f.Str)
		}
	})
	return version, facts
}

// each calls do for every field of a checked row with its spec.
func (m *measurement) each(fields []wire.Field, do func(s *field, f *wire.Field)) {
	next := 0
	for i := range fields {
		f := &fields[i]
		at := m.find(f.Key, next)
		next = at + 1
		do(&m.fields[at], f)
	}
}
