package figures

import (
	"math"

	"communewatch/collector/reports"
	"communewatch/collector/rollup"
)

// known is what the calendar and the agents say of a stretch of office hours, or of others.
type known struct {
	period      float64 // seconds
	maintenance float64 // of it, planned
	off         float64 // of it, beside maintenance: no agent was running
	closed      bool    // outside the office's hours: silence is expected
}

// seconds splits a stretch. They add up to Period, whatever the windows say: they were made by the calendar of their
// day, which may have been another.
func seconds(t *tally, k known) (f reports.Figures) {
	f.OK, f.Degraded, f.Down = t.ok, t.degraded, t.down
	measured := t.ok + t.degraded + t.down
	f.Period = max(k.period, measured+t.maintenance)
	rest := f.Period - measured
	take := func(want float64) float64 {
		got := min(max(want, 0), rest)
		rest -= got
		return got
	}
	f.Maintenance = take(max(t.maintenance, k.maintenance))
	f.Off = take(k.off)
	if k.closed {
		f.NoData = take(t.noData)
		f.Closed = rest
	} else {
		f.Closed = take(t.closed)
		f.NoData = rest
	}
	return f
}

// sum adds the seconds of another stretch or line.
func sum(f *reports.Figures, o reports.Figures) {
	f.Period += o.Period
	f.OK += o.OK
	f.Degraded += o.Degraded
	f.Down += o.Down
	f.Maintenance += o.Maintenance
	f.Off += o.Off
	f.Closed += o.Closed
	f.NoData += o.NoData
}

// complete works out what follows from seconds and counts.
func complete(f *reports.Figures, t *tally) {
	if measured := f.OK + f.Degraded + f.Down; measured > 0 {
		v := (f.OK + f.Degraded) / measured
		f.Availability = &v
		if f.Period > 0 {
			f.Known = min(measured/f.Period, 1)
		}
	}
	f.Outages, f.Sent, f.Lost = int64(math.Round(t.outages)), int64(math.Round(t.sent)), int64(math.Round(t.lost))
	if f.Sent > 0 {
		v := float64(f.Lost) / float64(f.Sent)
		f.Loss = &v
	}
	f.LossOf, f.RTT, f.Jitter = distribution(&t.loss), distribution(&t.rtt), distribution(&t.jitter)
	for _, v := range []*float64{&f.Period, &f.OK, &f.Degraded, &f.Down, &f.Maintenance, &f.Off, &f.Closed} {
		*v = millis(*v)
	}
	f.NoData = max(millis(f.Period-f.OK-f.Degraded-f.Down-f.Maintenance-f.Off-f.Closed), 0)
}

// millis rounds to what times are measured in, so that sums of thousands of windows look like what they are.
func millis(v float64) float64 { return math.Round(v*1000) / 1000 }

func distribution(a *rollup.Aggregate) *reports.Distribution {
	if a.Count == 0 || a.Sketch == nil {
		return nil
	}
	d := &reports.Distribution{Count: a.Count, Min: a.Min, Max: a.Max}
	for q, into := range map[float64]*float64{0.5: &d.P50, 0.95: &d.P95, 0.99: &d.P99} {
		*into, _ = a.Quantile(q)
	}
	return d
}
