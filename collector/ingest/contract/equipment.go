package contract

import (
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/probes"
	"communewatch/probes/wire"
)

// Sightings gathers the equipment rows among checked rows; of holds each row's series, and rows without fields are
// passed over. The rows of one device and moment are one sighting, also where those of another device come between
// them. The check row of the same run says of which kind the check is. Nil when there are none, as in most batches.
func Sightings(rows []wire.Row, of []*Series) []devices.Sighting {
	type run struct {
		site, agent, target string
		path                probes.Path
		time                int64
	}
	type one struct {
		run
		device string
	}
	var out []devices.Sighting
	at := map[one]int(nil)
	for i := range rows {
		s := of[i]
		if s == nil || s.measurement.name != "equipment" || rows[i].Fields == nil {
			continue
		}
		fact, ok := s.measurement.fact(rows[i].Fields)
		if !ok {
			continue
		}
		fact.Name = s.fact
		if at == nil {
			at = map[one]int{}
		}
		key := one{run{s.Site, s.Agent, s.target, s.path, rows[i].Time}, s.device}
		n, known := at[key]
		if !known {
			n = len(out)
			at[key] = n
			out = append(out, devices.Sighting{Site: s.Site, Agent: s.Agent, Target: s.target, Path: string(s.path), Key: s.device,
				At: time.Unix(0, rows[i].Time).UTC()})
		}
		out[n].Facts = append(out[n].Facts, fact)
	}
	if out == nil {
		return nil
	}
	kinds := map[run]probes.Kind{}
	for i := range rows {
		if s := of[i]; s != nil && s.measurement.name == "check" {
			kinds[run{s.Site, s.Agent, s.target, s.path, rows[i].Time}] = s.kind
		}
	}
	for key, n := range at {
		out[n].Kind = string(kinds[key.run])
	}
	return out
}

// fact reads the fields of an equipment row; their bytes belong to the request and are copied.
func (m *measurement) fact(fields []wire.Field) (f probes.Fact, ok bool) {
	m.each(fields, func(s *field, w *wire.Field) {
		switch s.Key {
		case "value":
			f.Value = string(w.Str)
		case "source":
			f.Source = string(w.Str)
		case "confidence_ratio":
			f.Confidence = w.Num
		}
	})
	return f, f.Value != ""
}
