// Package facts reads from the store what the ladder of package readiness rests on: what a site's endpoints last answered
// and told of themselves.
package facts

import (
	"context"
	"time"

	"communewatch/collector/health"
	"communewatch/collector/readiness"
	"communewatch/collector/store"
	"communewatch/probes"
)

// maxPoints bounds what is read of one measurement of a site: twenty devices polled every minute for readiness.CallAge.
const maxPoints = 1_000_000

// recently is how far back answers to what is asked every few minutes are looked for.
const recently = 2 * time.Hour

// Store is where the measurements are.
type Store interface {
	Select(ctx context.Context, q store.Query, each func(store.Series) error) error
}

// Read returns the newest facts of a site's checks, by check without its layer, as readiness.Of wants them.
func Read(ctx context.Context, from Store, site string, now time.Time) (map[health.CheckID]readiness.Facts, error) {
	out := map[health.CheckID]readiness.Facts{}
	calls := map[health.CheckID]map[string]store.Series{}
	read := func(m string, kind probes.Kind, since time.Duration, fields []string, take func(f *readiness.Facts, s *store.Series, i int)) error {
		q := store.Query{Measurement: m, Fields: fields, Tags: map[string]string{"site": site}, From: now.Add(-since), To: now.Add(time.Minute), MaxPoints: maxPoints}
		newest := map[health.CheckID][]store.Series{}
		err := from.Select(ctx, q, func(s store.Series) error {
			id := health.CheckID{Site: site, Agent: s.Tags.Get("agent"), Target: s.Tags.Get("target"), Kind: kind, Path: probes.Path(s.Tags.Get("path"))}
			if len(s.Times) > 0 {
				newest[id] = append(newest[id], s)
				if m == "snmp_endpoint" {
					if calls[id] == nil {
						calls[id] = map[string]store.Series{}
					}
					calls[id][s.Field] = s
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for id, list := range newest {
			var f readiness.Facts
			var at int64
			for i := range list {
				at = max(at, list[i].Times[len(list[i].Times)-1])
			}
			f.At = time.UnixMilli(at).UTC()
			for i := range list {
				// A field that the newest row lacks was not measured then, whatever an older row says.
				if last := len(list[i].Times) - 1; list[i].Times[last] == at {
					take(&f, &list[i], last)
				}
			}
			out[id] = f
		}
		return nil
	}
	if err := read("sip", probes.KindSIP, recently, []string{"code", "connected", "response_seconds", "transport"}, func(f *readiness.Facts, s *store.Series, i int) {
		switch {
		case s.Field == "code" && s.Values != nil:
			f.Code = int(s.Values[i])
		case s.Field == "connected" && s.Values != nil:
			f.Connected = s.Values[i] != 0
		}
	}); err != nil {
		return nil, err
	}
	if err := read("h323", probes.KindH323, recently, []string{"connected", "gatekeeper"}, func(f *readiness.Facts, s *store.Series, i int) {
		switch {
		case s.Field == "connected" && s.Values != nil:
			f.Signalling, f.Connected = true, s.Values[i] != 0
		case s.Field == "gatekeeper" && s.Texts != nil:
			f.Gatekeeper = s.Texts[i]
		}
	}); err != nil {
		return nil, err
	}
	if err := read("snmp_endpoint", probes.KindSNMP, readiness.CallAge, []string{"h323", "sip", "in_call", "in_loss_ratio", "out_loss_ratio"}, func(f *readiness.Facts, s *store.Series, i int) {
		f.Endpoint = true
		switch {
		case s.Field == "h323" && s.Texts != nil:
			f.H323 = s.Texts[i]
		case s.Field == "sip" && s.Texts != nil:
			f.SIP = s.Texts[i]
		}
	}); err != nil {
		return nil, err
	}
	for id, fields := range calls {
		f := out[id]
		f.CallAt, f.Loss = call(fields["in_loss_ratio"], fields["out_loss_ratio"])
		out[id] = f
	}
	return out, nil
}

// call returns when an endpoint last told how a call was, and the loss of its worse direction over the call's last
// minutes: the newest reading alone would be one moment of it.
func call(in, out store.Series) (at time.Time, loss float64) {
	const last = 10 * time.Minute
	for _, s := range []store.Series{in, out} {
		if n := len(s.Times); n > 0 && s.Values != nil {
			if t := time.UnixMilli(s.Times[n-1]).UTC(); t.After(at) {
				at = t
			}
		}
	}
	for _, s := range []store.Series{in, out} {
		sum, n := 0.0, 0
		for i := len(s.Times) - 1; i >= 0 && s.Values != nil && at.Sub(time.UnixMilli(s.Times[i])) <= last; i-- {
			sum += s.Values[i]
			n++
		}
		if n > 0 {
			loss = max(loss, sum/float64(n))
		}
	}
	return at, loss
}
