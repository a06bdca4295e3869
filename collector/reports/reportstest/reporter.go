// Package reportstest makes reports of a believable province for tests of what shows them: most lines are good, some
// lose packets or break down, some offices switch their machines off, some lines were never measured, some have no
// contract. Everything is a function of the site, the layer and the period, so that two runs of a test see the same.
package reportstest

import (
	"cmp"
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/collector/rollup"
	"communewatch/inventory"
	"communewatch/probes"
)

// Months is how many months have figures, the running one among them.
const Months = 14

// Citation is where the limits of the test's contracts are written.
const Citation = "Hợp đồng số 12/2026/HĐ-VT, Phụ lục 2, mục 3"

// State is how it stands with the figures of a Reporter. The zero State is that of one that is up to date.
type State struct {
	Err     error         // what every call answers with; nil: a report
	Lag     time.Duration // how far figures are behind
	Pending int           // hours that wait to be worked out anew
	Empty   bool          // nothing was ever measured
}

// Reporter makes reports of the sites it was given.
type Reporter struct {
	sites []inventory.Site
	now   func() time.Time
	zone  *time.Location

	mu    sync.Mutex // guards state
	state State
}

// New returns a Reporter of sites.
func New(sites []inventory.Site, now func() time.Time) *Reporter {
	return &Reporter{sites: sites, now: now, zone: time.FixedZone("Asia/Ho_Chi_Minh", 7*60*60)}
}

// Set changes how it stands with the figures.
func (r *Reporter) Set(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
}

func (r *Reporter) stands() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Periods implements reports.Reporter.
func (r *Reporter) Periods(context.Context) ([]reports.Period, error) {
	if s := r.stands(); s.Err != nil || s.Empty {
		return nil, s.Err
	}
	out := []reports.Period{period.Month(r.now(), r.zone)}
	for len(out) < Months {
		out = append(out, period.Beside(out[len(out)-1], -1))
	}
	return out, nil
}

// line is a line with what its figures were made of.
type line struct {
	reports.Line
	rtt, jitter, loss rollup.Sketch
}

// Report implements reports.Reporter.
func (r *Reporter) Report(_ context.Context, q reports.Query) (*reports.Report, error) {
	stands := r.stands()
	if stands.Err != nil {
		return nil, stands.Err
	}
	now := r.now()
	out := &reports.Report{Period: q.Period, Hours: cmp.Or(q.Hours, reports.All), Made: now, Pending: stands.Pending, DataTo: q.Period.To}
	if end := now.Add(-stands.Lag).Truncate(time.Hour); end.Before(out.DataTo) {
		out.DataTo = end
	}
	if out.DataTo.Before(q.Period.From) {
		out.DataTo = q.Period.From
	}
	for what, asked := range map[string]string{"site": q.Site, "district": q.District} {
		if asked != "" && !slices.ContainsFunc(r.sites, func(s inventory.Site) bool {
			return asked == map[string]string{"site": s.ID, "district": s.Parent}[what]
		}) {
			out.Unknown = append(out.Unknown, reports.Unknown{What: what, Name: asked})
		}
	}
	var lines []*line
	for i, site := range r.sites {
		if q.Site != "" && q.Site != site.ID || q.District != "" && q.District != site.Parent {
			continue
		}
		for _, layer := range probes.Layers() {
			if q.Layer != "" && q.Layer != layer || !has(i, layer) {
				continue
			}
			l := newLine(i, site, layer, out, stands.Empty)
			if q.Provider != "" && (l.Contract == nil || l.Contract.Provider != q.Provider) {
				continue
			}
			lines = append(lines, l)
		}
	}
	slices.SortStableFunc(lines, func(a, b *line) int { return cmp.Compare(a.District, b.District) })
	for _, l := range lines {
		out.Lines = append(out.Lines, l.Line)
	}
	out.Paths = groups(lines, func(*line) (string, bool) { return "", true })
	out.Districts = groups(lines, func(l *line) (string, bool) { return l.District, true })
	out.Providers = groups(lines, func(l *line) (string, bool) {
		if l.Contract == nil {
			return "", l.Layer == probes.LayerBroadband || l.Layer == probes.LayerDedicated
		}
		return l.Contract.Provider, true
	})
	for i, l := range out.Lines {
		if l.Layer != probes.LayerBroadband {
			continue
		}
		j := slices.IndexFunc(out.Lines, func(o reports.Line) bool { return o.Site == l.Site && o.Layer == probes.LayerDedicated })
		if j < 0 {
			continue
		}
		p := reports.Pair{Site: l.Site, Broadband: i, Dedicated: j}
		if l.Figures.Known > 0 && out.Lines[j].Figures.Known > 0 {
			p.Both = &reports.Both{DownSeconds: math.Floor(min(l.Figures.Down, out.Lines[j].Figures.Down) / 2)}
		}
		out.Pairs = append(out.Pairs, p)
	}
	return out, nil
}

// has says whether a site has a line of a layer: most have all, a few no dedicated one, one in three no conference room.
func has(i int, layer probes.Layer) bool {
	switch layer {
	case probes.LayerDedicated:
		return i%17 != 4
	case probes.LayerConference:
		return i%3 != 0
	}
	return true
}

// providers of lines in the province.
var providers = []string{"Nhà mạng A", "Nhà mạng B", "Nhà mạng C"}

// contract is what was agreed of a line; one in ten is not known.
func contract(i int, layer probes.Layer) *reports.Contract {
	switch {
	case layer == probes.LayerBroadband && i%10 != 9:
		return &reports.Contract{Provider: providers[i%3], Number: "12/2026/HĐ-VT", DownMbps: 150, UpMbps: 150, Profile: "băng rộng xã", Monthly: 352_000, From: "2026-01-01"}
	case layer == probes.LayerDedicated && i%10 != 8:
		return &reports.Contract{Provider: providers[0], Number: "03/2025/TSLCD", DownMbps: 20, UpMbps: 20, Profile: "chuyên dùng xã", From: "2025-06-01"}
	}
	return nil
}

// seconds is how long the hours asked for last in a period.
func seconds(p reports.Period, to time.Time, hours reports.Hours) float64 {
	office := 0.0
	for t := p.From; t.Before(to); t = t.AddDate(0, 0, 1) {
		if t.Weekday() != time.Saturday && t.Weekday() != time.Sunday {
			office += 9 * 3600
		}
	}
	all := max(0, to.Sub(p.From).Seconds())
	switch office = min(office, all); hours {
	case reports.Office:
		return office
	case reports.Other:
		return all - office
	}
	return all
}

func newLine(i int, site inventory.Site, layer probes.Layer, rep *reports.Report, empty bool) *line {
	h := fnv.New64a()
	_, _ = h.Write([]byte(site.ID + string(layer) + period.Name(rep.Period) + string(rep.Hours)))
	rng := rand.New(rand.NewPCG(h.Sum64(), 7))
	l := &line{Line: reports.Line{Site: site.ID, Name: site.Name, District: site.Parent, Layer: layer, Contract: contract(i, layer)}}
	f := &l.Figures
	f.Period = seconds(rep.Period, rep.DataTo, rep.Hours)
	share := func(most float64) float64 { return math.Floor(f.Period * most * rng.Float64()) }
	trip, lossy := map[probes.Layer]float64{probes.LayerLAN: 0.0006, probes.LayerBroadband: 0.012, probes.LayerDedicated: 0.007, probes.LayerConference: 0.011}[layer], 0.0008
	switch {
	case empty, i%37 == 5, layer == probes.LayerConference && i%11 == 4: // never measured
		f.NoData = f.Period
		return l
	case i%29 == 7 && layer == probes.LayerBroadband: // loses packets
		f.Degraded, lossy, trip = share(0.3), 0.031, trip*3
	case i >= 60 && i < 65 && layer == probes.LayerDedicated: // breaks down
		f.Down, f.Outages = share(0.06), int64(3+rng.IntN(20))
	case i%53 == 3: // the whole office was dark
		f.Down, f.Outages = share(0.02), int64(1+rng.IntN(3))
	case rng.IntN(3) == 0:
		f.Down, f.Degraded, f.Outages = share(0.004), share(0.01), int64(1+rng.IntN(4))
	}
	if i%13 == 2 {
		f.Maintenance = share(0.02)
	}
	if rep.Hours != reports.Office {
		f.Closed = share(0.02)
	}
	if f.Off = share(0.01); i%5 == 0 { // an office that switches its machine off
		f.Off = share(0.2)
	}
	f.NoData = share(0.01)
	if i%19 == 6 {
		f.NoData = share(0.5)
	}
	f.OK = max(0, f.Period-f.Down-f.Degraded-f.Maintenance-f.Off-f.Closed-f.NoData)
	f.Sent = int64((f.OK + f.Degraded + f.Down) / 3)
	f.Lost = min(f.Sent, int64(float64(f.Sent)*lossy*(0.5+rng.Float64()))+int64(f.Down/3))
	for range 60 {
		v := trip * math.Exp(rng.NormFloat64()*0.35)
		l.rtt.Add(v)
		l.jitter.Add(v * 0.12 * math.Exp(rng.NormFloat64()*0.4))
		l.loss.Add(max(0, rng.NormFloat64()) * lossy)
	}
	finish(f, &l.rtt, &l.jitter, &l.loss)
	l.judge()
	return l
}

// finish fills in what follows from the rest.
func finish(f *reports.Figures, rtt, jitter, loss *rollup.Sketch) {
	measured := f.OK + f.Degraded + f.Down
	if measured > 0 {
		a := (f.OK + f.Degraded) / measured
		f.Availability = &a
	}
	if f.Period > 0 {
		f.Known = measured / f.Period
	}
	if f.Sent > 0 {
		v := float64(f.Lost) / float64(f.Sent)
		f.Loss = &v
	}
	f.RTT, f.Jitter, f.LossOf = distribution(rtt), distribution(jitter), distribution(loss)
}

func distribution(s *rollup.Sketch) *reports.Distribution {
	n := s.Count()
	if n == 0 {
		return nil
	}
	return &reports.Distribution{Count: n, Min: s.Quantile(0), P50: s.Quantile(0.5), P95: s.Quantile(0.95), P99: s.Quantile(0.99), Max: s.Quantile(1)}
}

// judge holds a line against its profile; LAN and conference have none.
func (l *line) judge() {
	if l.Contract == nil {
		return
	}
	verdict := func(what string, limit float64, v *float64, least bool) {
		out := reports.Verdict{What: what, Limit: limit, Hours: reports.All, Value: v, Citation: Citation}
		if v != nil {
			met := *v <= limit
			if least {
				met = *v >= limit
			}
			out.Met = &met
		} else {
			out.Why = reports.WhyNothing
		}
		l.Against = append(l.Against, out)
	}
	p95 := func(d *reports.Distribution) *float64 {
		if d == nil {
			return nil
		}
		return &d.P95
	}
	verdict("availability", 0.995, l.Figures.Availability, true)
	verdict("loss", 0.01, l.Figures.Loss, false)
	verdict("rtt_p95", 0.05, p95(l.Figures.RTT), false)
	verdict("jitter_p95", 0.01, p95(l.Figures.Jitter), false)
}

// groups sums lines by layer and by a name that a line may have; the nameless are last.
func groups(lines []*line, name func(*line) (string, bool)) (out []reports.Group) {
	type key struct {
		name  string
		layer probes.Layer
	}
	sums := map[key]*line{}
	var keys []key
	counts := map[key]*reports.Group{}
	for _, l := range lines {
		n, ok := name(l)
		if !ok {
			continue
		}
		k := key{n, l.Layer}
		if sums[k] == nil {
			sums[k], counts[k] = &line{}, &reports.Group{Name: n, Layer: l.Layer}
			keys = append(keys, k)
		}
		s, g := sums[k], counts[k]
		g.Lines++
		f, of := &s.Figures, &l.Figures
		f.Period, f.OK, f.Degraded, f.Down = f.Period+of.Period, f.OK+of.OK, f.Degraded+of.Degraded, f.Down+of.Down
		f.Maintenance, f.Off, f.Closed, f.NoData = f.Maintenance+of.Maintenance, f.Off+of.Off, f.Closed+of.Closed, f.NoData+of.NoData
		f.Outages, f.Sent, f.Lost = f.Outages+of.Outages, f.Sent+of.Sent, f.Lost+of.Lost
		s.rtt.Merge(&l.rtt)
		s.jitter.Merge(&l.jitter)
		s.loss.Merge(&l.loss)
		if len(l.Against) > 0 {
			if slices.ContainsFunc(l.Against, func(v reports.Verdict) bool { return v.Met != nil && !*v.Met }) {
				g.Missed++
			} else if !slices.ContainsFunc(l.Against, func(v reports.Verdict) bool { return v.Met == nil }) {
				g.Met++
			} else {
				g.Open++
			}
		}
	}
	order := probes.Layers()
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(min(1, len(b.name)), min(1, len(a.name))), cmp.Compare(a.name, b.name), cmp.Compare(slices.Index(order, a.layer), slices.Index(order, b.layer)))
	})
	for _, k := range keys {
		g, s := counts[k], sums[k]
		g.Figures = s.Figures
		finish(&g.Figures, &s.rtt, &s.jitter, &s.loss)
		out = append(out, *g)
	}
	return out
}
