// Package plan makes plans of rehearsals and says what speaks against them. It is pure: what is known of sites, agents
// and the hub is brought to it.
//
// A step holds all sites of the step before it and more, so that what a site loses can be compared between steps. The
// order in which sites join is the same every time and spreads each step over the districts: ten of 136 sites are then
// from as many districts, and a fault that all of them have is nearer to the hub than to any of them.
package plan

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/rehearsal"
	"communewatch/inventory"
	"communewatch/probes"
	"communewatch/probes/orders"
	"communewatch/probes/webrtc/media"
)

// Bounds of a plan, with what speaks for them.
const (
	MinStepSeconds = 5       // below that a burst of loss is half of what is seen
	MaxStepSeconds = 60      // above that the line carries the test and not much else
	MaxSteps       = 20      // a rehearsal is to be over before a meeting
	MaxSites       = 20_000  // a hundred provinces
	maxText        = 200     // bytes of a meeting's name
	maxBy          = 100     // bytes of who asks
	maxList        = 400_000 // bytes of a list of sites
	maxAhead       = 366 * 24 * time.Hour
	stalePlan      = time.Minute // how long ago "at" may be and still mean now
)

// How a step runs. The service goes by the same numbers, so that the plan's length is true.
const (
	// Lead is how long before media begin the agents are told: orders arrive within 2 s.
	Lead = 3 * time.Second
	// Stagger is how far apart calls begin: a handshake costs the hub some milliseconds of processor time, and
	// all at once would measure its queue, or make it refuse. All sites stream together from the last beginning on.
	Stagger = 60 * time.Millisecond
	// Settle is how long setting up and reporting take at good sites.
	Settle = 4 * time.Second
	// Pause lies between two steps, so that queues are empty and screens can be read.
	Pause = 2 * time.Second
)

// Known is what plans are made of.
type Known struct {
	Sites     []inventory.Site // as they are called today
	Connected map[string]bool  // sites with an agent on the order channel; nil: not known
	Now       time.Time
}

// Make returns the plan of a request. What speaks against it is in Plan.Problems, all of it.
func Make(r rehearsal.Request, s Settings, known Known) rehearsal.Plan {
	m := maker{request: r, settings: s, known: known}
	m.plan = rehearsal.Plan{Meeting: strings.TrimSpace(r.Meeting), Check: r.Check, At: r.At, By: r.By, Force: r.Force, Schedule: r.Schedule,
		Estimates: []rehearsal.Estimate{}}
	m.texts()
	m.profile()
	m.length()
	m.sites()
	m.steps()
	m.estimate()
	m.connections()
	return m.plan
}

type maker struct {
	request  rehearsal.Request
	settings Settings
	known    Known
	plan     rehearsal.Plan
}

// maxParam bounds what is told again of what was typed, in runes.
const maxParam = 200

func (m *maker) problem(field, code, format string, args ...any) {
	p := rehearsal.Problem{Field: field, Code: code, Text: fmt.Sprintf(format, args...)}
	for _, a := range args {
		p.Params = append(p.Params, fmt.Sprintf("%.*s", maxParam, fmt.Sprint(a)))
	}
	m.plan.Problems = append(m.plan.Problems, p)
}

// plain reports whether s is one line of text of at most limit bytes.
func plain(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (m *maker) texts() {
	switch {
	case m.plan.Meeting == "":
		m.problem("meeting", rehearsal.ProblemNoMeeting, "give the meeting's name")
	case !plain(m.plan.Meeting, maxText):
		m.problem("meeting", rehearsal.ProblemText, "use at most %d bytes of plain text in one line", maxText)
	}
	if !plain(m.plan.By, maxBy) {
		m.problem("by", rehearsal.ProblemText, "use at most %d bytes of plain text in one line", maxBy)
	}
	if m.plan.Check != "" {
		if err := probes.CheckName(m.plan.Check); err != nil {
			m.problem("check", rehearsal.ProblemName, "%v", err)
		}
	}
	if at := m.plan.At; at != nil {
		ahead := at.Sub(m.known.Now)
		switch {
		case ahead < -stalePlan:
			m.problem("at", rehearsal.ProblemPast, "%s has passed; give a time to come, or leave it out to begin now", at.UTC().Format(time.RFC3339))
		case ahead > maxAhead:
			m.problem("at", rehearsal.ProblemFar, "%s is more than a year away", at.UTC().Format(time.RFC3339))
		case ahead <= 0:
			m.plan.At = nil
		}
	}
}

func (m *maker) profile() {
	r := m.request
	bps := func(field string, kbps float64) int {
		if !(kbps >= 0 && kbps*1000 <= media.MaxVideoBPS) { // NaN too
			m.problem(field, rehearsal.ProblemRate, "%v kbit/s: want 0 to %d", kbps, media.MaxVideoBPS/1000)
			return 0
		}
		return int(math.Round(kbps * 1000))
	}
	custom := r.AudioKbps != 0 || r.VideoKbps != 0 || r.FPS != 0
	switch {
	case custom:
		name := r.Profile
		if name == "" {
			name = "custom"
		}
		if _, taken := media.Named(name); taken {
			m.problem("profile", rehearsal.ProblemNamed, "%s has rates of its own; leave it out, or leave out the rates", name)
			return
		}
		if err := probes.CheckName(name); err != nil { // as agents want it
			m.problem("profile", rehearsal.ProblemName, "%v", err)
			return
		}
		before := len(m.plan.Problems)
		p := orders.Profile{Name: name, AudioBPS: bps("audio_kbps", r.AudioKbps), VideoBPS: bps("video_kbps", r.VideoKbps), FPS: r.FPS}
		if p.VideoBPS != 0 && p.FPS == 0 {
			p.FPS = 30
		}
		if p.VideoBPS == 0 {
			if p.FPS != 0 {
				m.problem("fps", rehearsal.ProblemFPS, "frames are of video, and there is none; give video_kbps, or leave fps out")
			}
			p.FPS = 0
		}
		if len(m.plan.Problems) > before {
			return
		}
		if err := media.Check(p); err != nil {
			m.problem("profile", rehearsal.ProblemRates, "%v", err)
			return
		}
		m.plan.Profile = p
	default:
		name := r.Profile
		if name == "" {
			name = DefaultProfile
		}
		p, ok := media.Named(name)
		if !ok {
			var names []string
			for _, p := range media.Profiles() {
				names = append(names, p.Name)
			}
			m.problem("profile", rehearsal.ProblemNoProfile, "%.40q is not one of %s; or give audio_kbps, video_kbps and fps", name, strings.Join(names, ", "))
			return
		}
		m.plan.Profile = p
	}
}

func (m *maker) length() {
	m.plan.StepSeconds = m.request.StepSeconds
	if m.plan.StepSeconds == 0 {
		m.plan.StepSeconds = m.settings.StepSeconds
	}
	if n := m.plan.StepSeconds; n < MinStepSeconds || n > MaxStepSeconds {
		m.problem("step_seconds", rehearsal.ProblemStepSeconds, "%d: want %d to %d seconds of media in each step", n, MinStepSeconds, MaxStepSeconds)
	}
}

func (m *maker) sites() {
	if len(m.known.Sites) == 0 {
		m.problem("sites", rehearsal.ProblemNoSites, "no site is known; import them first with: communewatch-collector sites import FILE")
		return
	}
	if len(m.request.Sites) > maxList {
		m.problem("sites", rehearsal.ProblemLongList, "the list has more than %d bytes", maxList)
		return
	}
	byID := make(map[string]int, len(m.known.Sites))
	for i := range m.known.Sites {
		byID[m.known.Sites[i].ID] = i
	}
	taken := make([]bool, len(m.known.Sites))
	wanted := strings.TrimSpace(m.request.Sites)
	if wanted == "" {
		wanted = "all"
	}
	var unknown []string
	for item := range strings.SplitSeq(wanted, ",") {
		item = strings.TrimSpace(item)
		district, isDistrict := strings.CutPrefix(item, "district:")
		switch i, ok := byID[item]; {
		case item == "":
			m.problem("sites", rehearsal.ProblemEmptyItem, "an item between two commas is empty")
			return
		case item == "all":
			for i := range taken {
				taken[i] = true
			}
		case isDistrict:
			m.district(strings.TrimSpace(district), taken)
		case ok:
			taken[i] = true
		default:
			unknown = append(unknown, item)
		}
	}
	if len(unknown) > 0 {
		more := ""
		if len(unknown) > 5 {
			more = fmt.Sprintf(" and %d more", len(unknown)-5)
		}
		m.problem("sites", rehearsal.ProblemNoSite, "no site has the id %.200q%s; list them with: communewatch-collector sites list, or use all, or district:NAME",
			strings.Join(unknown[:min(5, len(unknown))], ", "), more)
	}
	var chosen []inventory.Site
	for i, is := range taken {
		if is {
			chosen = append(chosen, m.known.Sites[i])
		}
	}
	if len(chosen) > MaxSites {
		m.problem("sites", rehearsal.ProblemManySites, "%d sites are more than %d", len(chosen), MaxSites)
		return
	}
	m.plan.Sites = Order(chosen)
}

// district takes the sites of a district: by its exact name or code, else by its name without accents.
func (m *maker) district(name string, taken []bool) {
	found := map[string]bool{}
	take := func(same func(s *inventory.Site) bool) {
		for i := range m.known.Sites {
			if s := &m.known.Sites[i]; s.Parent != "" && same(s) {
				taken[i], found[s.Parent] = true, true
			}
		}
	}
	if name != "" {
		take(func(s *inventory.Site) bool { return s.Parent == name || s.ParentCode == name })
		if len(found) == 0 {
			folded := inventory.Fold(name)
			take(func(s *inventory.Site) bool { return inventory.Fold(s.Parent) == folded })
		}
	}
	switch {
	case len(found) == 0:
		m.problem("sites", rehearsal.ProblemNoDistrict, "no site is in a district %.100q", name)
	case len(found) > 1:
		m.problem("sites", rehearsal.ProblemDistricts, "%.100q may mean several districts; write the name with its accents, or the code", name)
	}
}

// Order returns the ids of sites in the order in which they join a rehearsal: every beginning of it has, as nearly as
// can be, the same share of each district.
func Order(sites []inventory.Site) []string {
	type place struct {
		site  string
		key   float64
		group uint64
	}
	hash := func(s string) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s))
		return h.Sum64()
	}
	groups := map[string][]string{}
	for _, s := range sites {
		groups[s.Parent] = append(groups[s.Parent], s.ID)
	}
	places := make([]place, 0, len(sites))
	for parent, ids := range groups {
		slices.SortFunc(ids, func(a, b string) int {
			if c := cmp.Compare(hash(a), hash(b)); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		for i, id := range ids {
			places = append(places, place{id, (float64(i) + 0.5) / float64(len(ids)), hash(parent)})
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.key != b.key:
			return cmp.Compare(a.key, b.key)
		case a.group != b.group:
			return cmp.Compare(a.group, b.group)
		}
		return strings.Compare(a.site, b.site)
	})
	out := make([]string, len(places))
	for i, p := range places {
		out[i] = p.site
	}
	return out
}

func (m *maker) steps() {
	total := len(m.plan.Sites)
	if total == 0 {
		return
	}
	text := strings.TrimSpace(m.request.Steps)
	if text == "" {
		m.plan.Steps = Steps(total)
		return
	}
	parts := strings.Split(text, ",")
	if len(parts) > MaxSteps {
		m.problem("steps", rehearsal.ProblemManySteps, "%d steps are more than %d", len(parts), MaxSteps)
		return
	}
	last := 0
	for i, part := range parts {
		part = strings.TrimSpace(part)
		n, err := strconv.Atoi(part)
		switch {
		case part == "all":
			n = total
			if i != len(parts)-1 {
				m.problem("steps", rehearsal.ProblemAllLast, "all can only be the last step")
				return
			}
			if n == last { // "10,all" of ten sites
				continue
			}
		case err != nil:
			m.problem("steps", rehearsal.ProblemNoNumber, "%.40q is not a number of sites; write for example 10,34,68,all", part)
			return
		case n < 1:
			m.problem("steps", rehearsal.ProblemEmptyStep, "a step of %d sites tests nothing", n)
			return
		case n > total:
			m.problem("steps", rehearsal.ProblemLargeStep, "a step of %d sites, but only %d take part; write all for all of them", n, total)
			return
		case n <= last:
			m.problem("steps", rehearsal.ProblemStepOrder, "%d after %d: each step must have more sites than the one before", n, last)
			return
		}
		m.plan.Steps = append(m.plan.Steps, n)
		last = n
	}
}

// Steps returns the steps of a rehearsal that does not name them: a tenth of its sites or so, a quarter, a half, all.
func Steps(total int) []int {
	var steps []int
	for _, share := range []float64{0.074, 0.25, 0.5, 1} { // 10, 34, 68 and 136 of 136
		n := int(math.Round(share * float64(total)))
		if n >= 1 && (len(steps) == 0 || n > steps[len(steps)-1]) {
			steps = append(steps, n)
		}
	}
	return steps
}

// StepLength is how long a step of n sites takes, without the pause that follows.
func StepLength(sites, stepSeconds int) time.Duration {
	return Lead + Spread(sites) + time.Duration(stepSeconds)*time.Second + Settle
}

// Spread is how far apart the first and the last call of a step begin.
func Spread(sites int) time.Duration {
	return min(time.Duration(max(sites-1, 0))*Stagger, 10*time.Second)
}

func (m *maker) estimate() {
	each := media.WireBPS(m.plan.Profile)
	capacity := m.settings.HubMbps * 1e6
	var total time.Duration
	worst := rehearsal.Estimate{}
	for i, n := range m.plan.Steps {
		e := rehearsal.Estimate{Step: i + 1, Sites: n, IntoHub: each * float64(n), OutOfHub: each * float64(n), Capacity: capacity}
		e.Over = capacity > 0 && e.OutOfHub > capacity || m.settings.MaxSessions > 0 && n > m.settings.MaxSessions
		if e.Over {
			worst = e
		}
		m.plan.Estimates = append(m.plan.Estimates, e)
		total += StepLength(n, m.plan.StepSeconds) + Pause
	}
	m.plan.TotalSeconds = int(math.Round(total.Seconds()))
	switch {
	case worst.Over && m.plan.Force:
		m.plan.Warnings = append(m.plan.Warnings, rehearsal.Note{Code: rehearsal.NoteCapacity, N: float64(worst.Step), Of: worst.OutOfHub})
	case worst.Over:
		p := rehearsal.Problem{Field: "steps", Code: rehearsal.ProblemCapacity, Force: true,
			Params: []string{strconv.Itoa(worst.Step), strconv.Itoa(worst.Sites), strconv.FormatFloat(worst.OutOfHub, 'f', 0, 64), strconv.FormatFloat(capacity, 'f', 0, 64)}}
		why := fmt.Sprintf("step %d: %d sites, the hub would send and receive %s, above its %s (rehearsal.hub_mbps)",
			worst.Step, worst.Sites, Mbps(worst.OutOfHub), Mbps(capacity))
		if m.settings.MaxSessions > 0 && worst.Sites > m.settings.MaxSessions {
			why = fmt.Sprintf("step %d: %d sites at once, above the hub's %d sessions (rehearsal.max_sessions)", worst.Step, worst.Sites, m.settings.MaxSessions)
			p.Code, p.Params = rehearsal.ProblemSessions, []string{strconv.Itoa(worst.Step), strconv.Itoa(worst.Sites), strconv.Itoa(m.settings.MaxSessions)}
		}
		p.Text = why + "; choose a lower profile or fewer sites, or force it"
		m.plan.Problems = append(m.plan.Problems, p)
	}
	if capacity <= 0 {
		m.plan.Warnings = append(m.plan.Warnings, rehearsal.Note{Code: rehearsal.NoteNoCapacity})
	}
	if len(m.plan.Steps) == 1 && m.plan.Steps[0] > 3 {
		m.plan.Warnings = append(m.plan.Warnings, rehearsal.Note{Code: rehearsal.NoteOneStep})
	}
}

// Mbps writes a rate as people do: "340 Mbit/s", "2.3 Mbit/s".
func Mbps(bps float64) string {
	if bps >= 10e6 {
		return fmt.Sprintf("%.0f Mbit/s", bps/1e6)
	}
	return fmt.Sprintf("%.1f Mbit/s", bps/1e6)
}

// connections says which sites of the plan are off.
func (m *maker) connections() {
	if len(m.plan.Steps) == 0 {
		return
	}
	if m.known.Connected == nil {
		m.plan.Warnings = append(m.plan.Warnings, rehearsal.Note{Code: rehearsal.NoteNotHeard})
		return
	}
	var off []string
	taking := m.plan.Sites[:m.plan.Steps[len(m.plan.Steps)-1]]
	for _, s := range taking {
		if !m.known.Connected[s] {
			off = append(off, s)
		}
	}
	if len(off) == 0 {
		return
	}
	slices.Sort(off)
	m.plan.Warnings = append(m.plan.Warnings, rehearsal.Note{Code: rehearsal.NoteOff, N: float64(len(off)), Of: float64(len(taking)), Sites: off})
}
