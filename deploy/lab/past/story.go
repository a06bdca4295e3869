package past

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"communewatch/collector/reports"
	"communewatch/probes"
)

// The story: what happened to whom. All of it is invented.

// Provider is who sells a line in the story.
type Provider struct {
	Name    string
	Monthly int64   // VND
	bad     float64 // how much more often its lines fail than those of a good one
	rtt     float64 // seconds, of its broadband lines on a quiet day
	rush    float64 // share of packets that its broadband lines lose in the evening
}

// Providers of the story. The last one is the bad one.
func Providers() []Provider {
	return []Provider{
		{"Nhà mạng A (mô phỏng)", 350_000, 1, 0.009, 0},
		{"Nhà mạng B (mô phỏng)", 320_000, 1.4, 0.013, 0.002},
		{"Nhà mạng C (mô phỏng)", 260_000, 5, 0.021, 0.025},
	}
}

// DedicatedProvider sells the dedicated line of every site.
const DedicatedProvider = "Mạng truyền số liệu chuyên dùng (mô phỏng)"

// providerOf is the index of the provider of a site's broadband line.
func providerOf(number int) int { return []int{0, 1, 0, 2, 1, 0, 0, 2, 1, 0}[number%10] }

// ProviderOf is who sells the broadband line of the site with that number in the lab.
func ProviderOf(number int) Provider { return Providers()[providerOf(number)] }

// spell is a stretch in which a layer was not well.
type spell struct {
	from, to int64 // Unix milliseconds
	down     bool  // else degraded
}

// life is what happened at one site.
type life struct {
	number int
	spells [4][]spell     // by layer, in order, none overlapping
	off    []reports.Span // the agent's machine was switched off
}

// story of one site. open tells its office hours; nil: there are none.
func (o *Options) story(number int, open func(time.Time) bool) *life {
	l := &life{number: number}
	rng := rand.New(rand.NewPCG(o.Seed, uint64(number)))
	p := ProviderOf(number)
	// How often a layer fails and how often it is merely bad, in times a month, and how long that takes as a rule.
	for i, rates := range [4][2]float64{{0.25, 0.5}, {1.1 * p.bad, 2 * p.bad}, {0.5, 0.7}, {0.3, 0.8}} {
		var all []spell
		all = append(all, happen(rng, o.From, o.To, rates[0], 18*time.Minute, true)...)
		all = append(all, happen(rng, o.From, o.To, rates[1], 35*time.Minute, false)...)
		l.spells[i] = all
	}
	o.events(l, number)
	calm := o.calm().UnixMilli()
	for i := range l.spells {
		l.spells[i] = slices.DeleteFunc(l.spells[i], func(s spell) bool { return s.from >= calm })
		for j := range l.spells[i] {
			l.spells[i][j].to = min(l.spells[i][j].to, calm)
		}
		l.spells[i] = tidy(l.spells[i])
	}
	// Some offices switch their machines off, late ones switch them on after the office has opened.
	if number%6 == 2 || number%6 == 5 {
		on := 6*time.Hour + 50*time.Minute
		if number%6 == 5 {
			on = 8*time.Hour + 20*time.Minute
		}
		l.off = o.nights(number, on, open)
	}
	return l
}

// events are those that struck many sites, or one for long.
func (o *Options) events(l *life, number int) {
	days := int(o.To.Sub(o.From) / (24 * time.Hour))
	at := func(share float64, hour int) time.Time {
		t := o.From.AddDate(0, 0, int(share*float64(days))).In(o.Zone)
		return time.Date(t.Year(), t.Month(), t.Day(), hour, 0, 0, 0, o.Zone)
	}
	strike := func(layer int, from time.Time, d time.Duration) {
		l.spells[layer] = append(l.spells[layer], spell{from.UnixMilli(), from.Add(d).UnixMilli(), true})
	}
	const lan, broadband, dedicated, conference = 0, 1, 2, 3
	if number%40 == 31 { // somebody dug through a cable, and nobody came for a week
		strike(dedicated, at(0.8, 10), 7*24*time.Hour)
		strike(conference, at(0.8, 10), 7*24*time.Hour)
	}
	if number/15 == 2 { // a power cut in one district: whatever has a battery sees all lines go
		for _, layer := range []int{lan, broadband, dedicated, conference} {
			strike(layer, at(0.65, 13), 5*time.Hour)
		}
	}
	if providerOf(number) == len(Providers())-1 { // the bad provider's own bad day
		strike(broadband, at(0.9, 8), 9*time.Hour)
	}
	if number%23 == 7 { // a room's endpoint that was broken for three days
		strike(conference, at(0.5, 9), 3*24*time.Hour)
	}
}

// happen draws spells: so many a month, of a length whose median is usual and whose tail is long.
func happen(rng *rand.Rand, from, to time.Time, perMonth float64, usual time.Duration, down bool) (out []spell) {
	mean := 30 * 24 * float64(time.Hour) / perMonth
	for at := from; ; {
		at = at.Add(time.Duration(rng.ExpFloat64() * mean))
		if !at.Before(to) {
			return out
		}
		length := time.Duration(float64(usual) * math.Exp(rng.NormFloat64()*1.1))
		end := at.Add(min(max(length, time.Minute), 30*time.Hour))
		out = append(out, spell{at.UnixMilli(), end.UnixMilli(), down})
	}
}

// tidy puts spells in order and lets none overlap: a failure hides what is merely bad.
func tidy(all []spell) (out []spell) {
	slices.SortFunc(all, func(a, b spell) int { return int(a.from - b.from) })
	for _, s := range all {
		if n := len(out); n > 0 && s.from < out[n-1].to {
			last := &out[n-1]
			switch {
			case s.down && !last.down:
				last.to = s.from
				if last.to == last.from {
					out = out[:n-1]
				}
			case s.to <= last.to:
				continue
			default:
				s.from = last.to
			}
		}
		out = append(out, s)
	}
	return out
}

// nights are the times at which the machines of a site were off: from the end of the office's day, a while later, to the
// next morning, over weekends and holidays too.
func (o *Options) nights(number int, on time.Duration, open func(time.Time) bool) (out []reports.Span) {
	off := 17*time.Hour + time.Duration(20+number%40)*time.Minute
	var since time.Time
	for day := o.From.In(o.Zone); day.Before(o.To); day = day.AddDate(0, 0, 1) {
		midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, o.Zone)
		weekend := day.Weekday() == time.Saturday || day.Weekday() == time.Sunday
		if open == nil && weekend || open != nil && !open(midnight.Add(10*time.Hour)) {
			continue
		}
		if !since.IsZero() {
			out = append(out, reports.Span{From: since, To: midnight.Add(on)})
		}
		since = midnight.Add(off)
	}
	if last := len(out) - 1; last >= 0 && out[last].To.After(o.To) {
		out = out[:last]
	}
	return out
}

// share is how much of [from, to) the layer's spells of one kind took, in milliseconds, and how many began.
func (l *life) share(layer int, from, to int64, down bool) (ms int64, began int) {
	list := l.spells[layer]
	i, _ := slices.BinarySearchFunc(list, from, func(s spell, t int64) int {
		if s.to <= t {
			return -1
		}
		return 1
	})
	for ; i < len(list) && list[i].from < to; i++ {
		if list[i].down == down {
			ms += min(list[i].to, to) - max(list[i].from, from)
			if list[i].from >= from {
				began++
			}
		}
	}
	return ms, began
}

// running cuts what of [from, to) the site's machines were switched on for.
func (l *life) running(from, to time.Time) []reports.Span {
	i, _ := slices.BinarySearchFunc(l.off, from, func(s reports.Span, t time.Time) int {
		if !s.To.After(t) {
			return -1
		}
		return 1
	})
	whole := []reports.Span{{From: from, To: to}}
	if i == len(l.off) || !l.off[i].From.Before(to) {
		return whole
	}
	end := i
	for end < len(l.off) && l.off[end].From.Before(to) {
		end++
	}
	return reports.Without(whole, l.off[i:end])
}

// layerOf is a layer's place among spells.
func layerOf(l probes.Layer) int { return slices.Index(probes.Layers(), l) }
