package counts

import (
	"cmp"
	"slices"
	"strings"

	"communewatch/collector/stock/view"
	"communewatch/inventory/lifecycle/fleet"
)

// rates gathers failures and the time over which devices were watched.
type rates struct{ phases, models map[string]*view.FailureRate }

func newRates() *rates {
	return &rates{map[string]*view.FailureRate{}, map[string]*view.FailureRate{}}
}

func (rs *rates) add(r *view.Row, years float64) {
	count := func(in map[string]*view.FailureRate, key, label string) {
		f := in[key]
		if f == nil {
			f = &view.FailureRate{Key: key, Label: label}
			in[key] = f
		}
		f.Devices++
		f.Years += years
		f.Failures += r.Failures
	}
	phase := cmp.Or(r.Phase, view.NoPhase)
	count(rs.phases, phase, phase)
	if r.Model != "" {
		name := strings.TrimSpace(r.Vendor + " " + r.Model)
		count(rs.models, name, name)
	}
}

func (rs *rates) all() view.FailureRates {
	finish := func(in map[string]*view.FailureRate) []view.FailureRate {
		out := make([]view.FailureRate, 0, len(in))
		for _, f := range in {
			if f.Years > 0 {
				i := fleet.Rate(f.Failures, f.Years)
				f.Rate, f.Low, f.High = i.Value, i.Low, i.High
			}
			f.Thin = f.Years < view.MinYears
			out = append(out, *f)
		}
		slices.SortFunc(out, func(a, b view.FailureRate) int {
			return cmp.Or(thin(a)-thin(b), cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Devices, a.Devices), strings.Compare(a.Key, b.Key))
		})
		return out
	}
	return view.FailureRates{ByPhase: finish(rs.phases), ByModel: finish(rs.models)}
}

func thin(f view.FailureRate) int {
	if f.Thin {
		return 1
	}
	return 0
}
