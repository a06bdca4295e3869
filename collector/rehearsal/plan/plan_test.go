package plan

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rehearsal"
	"communewatch/inventory"
	"communewatch/probes/webrtc/media"
)

var now = time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC) // a Thursday, 10:00 in Vietnam

// province is 136 sites in nine districts of unequal size.
func province() []inventory.Site {
	names := []string{"Vĩnh Yên", "Phúc Yên", "Lập Thạch", "Tam Dương", "Tam Đảo", "Bình Xuyên", "Yên Lạc", "Vĩnh Tường", "Sông Lô"}
	sizes := []int{9, 10, 20, 13, 9, 13, 17, 28, 17}
	var out []inventory.Site
	for d, n := range sizes {
		for range n {
			out = append(out, inventory.Site{ID: fmt.Sprintf("s%05d", 8700+len(out)), Name: "Xã", Parent: names[d], ParentCode: fmt.Sprint(243 + d)})
		}
	}
	return out
}

func known() Known {
	k := Known{Sites: province(), Connected: map[string]bool{}, Now: now}
	for _, s := range k.Sites {
		k.Connected[s.ID] = true
	}
	return k
}

func TestAProvinceIsPlannedInSteps(t *testing.T) {
	s := DefaultSettings()
	s.HubMbps = 1000
	p := Make(rehearsal.Request{Meeting: "Giao ban", Steps: "10,34,68,all"}, s, known())
	if len(p.Problems) > 0 || len(p.Warnings) > 0 {
		t.Fatal(p.Problems, p.Warnings)
	}
	if !slices.Equal(p.Steps, []int{10, 34, 68, 136}) || len(p.Sites) != 136 || p.Profile.Name != "720p" || p.StepSeconds != 20 {
		t.Error(p.Steps, len(p.Sites), p.Profile, p.StepSeconds)
	}
	last := p.Estimates[3]
	if want := 136 * media.WireBPS(p.Profile); last.OutOfHub != want || last.IntoHub != want || last.Sites != 136 || last.Step != 4 || last.Over {
		t.Errorf("%+v, want %v each way", last, want)
	}
	if last.OutOfHub < 136*2.032e6 || last.OutOfHub > 136*2.3e6 {
		t.Errorf("%v for 136 calls of 2 Mbit/s video and 32 kbit/s audio", Mbps(last.OutOfHub))
	}
	if p.TotalSeconds < 80 || p.TotalSeconds > 180 {
		t.Errorf("four steps of 20 s take %d s", p.TotalSeconds)
	}
	if again := Make(rehearsal.Request{Meeting: "Giao ban"}, s, known()); !reflect.DeepEqual(again.Sites, p.Sites) || !slices.Equal(again.Steps, p.Steps) {
		t.Error("planned again without steps it is another plan:", again.Steps)
	}
}

// A step must not be a district's: its share of each district is the district's share of the province.
func TestEveryStepIsSpreadOverDistricts(t *testing.T) {
	sites := province()
	district, sizes := map[string]string{}, map[string]int{}
	for _, s := range sites {
		district[s.ID] = s.Parent
		sizes[s.Parent]++
	}
	order := Order(sites)
	for n := 1; n <= len(order); n++ {
		got := map[string]int{}
		for _, id := range order[:n] {
			got[district[id]]++
		}
		for name, size := range sizes {
			if want := float64(n) * float64(size) / float64(len(sites)); math.Abs(float64(got[name])-want) > 1.5 {
				t.Fatalf("of the first %d sites %d are in %s, its share is %.1f", n, got[name], name, want)
			}
		}
	}
	slices.Reverse(sites)
	if !slices.Equal(Order(sites), order) {
		t.Error("the order depends on the order in which sites are known")
	}
}

func TestSmallProvincesHaveFewerSteps(t *testing.T) {
	for total, want := range map[int][]int{1: {1}, 2: {1, 2}, 4: {1, 2, 4}, 12: {1, 3, 6, 12}, 136: {10, 34, 68, 136}} {
		if got := Steps(total); !slices.Equal(got, want) {
			t.Errorf("%d sites: %v, want %v", total, got, want)
		}
	}
}

func TestSitesAreChosenByIDAndDistrict(t *testing.T) {
	for text, want := range map[string]int{
		"": 136, "all": 136, "s08700": 1, " s08700 , s08701": 2, "district:Tam Đảo": 9, "district:tam dao": 9, "district:247": 9,
		"district:Tam Đảo, s08700, s08700": 10, "all,s08700": 136,
	} {
		p := Make(rehearsal.Request{Meeting: "m", Sites: text}, DefaultSettings(), known())
		if len(p.Problems) > 0 || len(p.Sites) != want {
			t.Errorf("%q: %d sites %v, want %d", text, len(p.Sites), p.Problems, want)
		}
	}
}

func TestBadPlansAreRefusedWithPlaceAndFix(t *testing.T) {
	past, far := now.Add(-time.Hour), now.AddDate(2, 0, 0)
	for _, c := range []struct {
		name  string
		r     rehearsal.Request
		field string
		says  string
	}{
		{"no name", rehearsal.Request{}, "meeting", "name"},
		{"name of two lines", rehearsal.Request{Meeting: "a\nb"}, "meeting", "one line"},
		{"long name", rehearsal.Request{Meeting: strings.Repeat("x", 201)}, "meeting", "200 bytes"},
		{"no such profile", rehearsal.Request{Profile: "4k"}, "profile", "audio, low, 360p, 720p, 1080p"},
		{"named with rates", rehearsal.Request{Profile: "720p", VideoKbps: 100, FPS: 10}, "profile", "leave out the rates"},
		{"rate below zero", rehearsal.Request{AudioKbps: -1}, "audio_kbps", "want 0 to"},
		{"no number", rehearsal.Request{VideoKbps: math.NaN()}, "video_kbps", "want 0 to"},
		{"huge rate", rehearsal.Request{VideoKbps: 1e12}, "video_kbps", "want 0 to"},
		{"zero-length profile", rehearsal.Request{FPS: 30}, "fps", "give video_kbps"},
		{"too little audio", rehearsal.Request{AudioKbps: 1}, "profile", "audio of 1000 bit/s"},
		{"absurd frames", rehearsal.Request{VideoKbps: 1000, FPS: 5000}, "profile", "frames per second"},
		{"no time at all", rehearsal.Request{StepSeconds: -1}, "step_seconds", "5 to 60"},
		{"an hour", rehearsal.Request{StepSeconds: 3600}, "step_seconds", "5 to 60"},
		{"no such site", rehearsal.Request{Sites: "s1,s2"}, "sites", `"s1, s2"`},
		{"no such district", rehearsal.Request{Sites: "district:Hà Nội"}, "sites", `"Hà Nội"`},
		{"empty district", rehearsal.Request{Sites: "district:"}, "sites", "no site"},
		{"two commas", rehearsal.Request{Sites: "s08700,,s08701"}, "sites", "empty"},
		{"no step", rehearsal.Request{Steps: ","}, "steps", "not a number"},
		{"step of none", rehearsal.Request{Steps: "0,10"}, "steps", "tests nothing"},
		{"step below zero", rehearsal.Request{Steps: "-5"}, "steps", "tests nothing"},
		{"falling steps", rehearsal.Request{Steps: "34,10"}, "steps", "more sites"},
		{"equal steps", rehearsal.Request{Steps: "10,10"}, "steps", "more sites"},
		{"all first", rehearsal.Request{Steps: "all,10"}, "steps", "last"},
		{"more than there are", rehearsal.Request{Steps: "10,137"}, "steps", "only 136"},
		{"twenty-one steps", rehearsal.Request{Steps: strings.TrimSuffix(strings.Repeat("1,", 21), ",")}, "steps", "more than 20"},
		{"yesterday", rehearsal.Request{At: &past}, "at", "has passed"},
		{"years ahead", rehearsal.Request{At: &far}, "at", "more than a year"},
		{"name of a profile", rehearsal.Request{Profile: "Của tôi", VideoKbps: 500}, "profile", "a-z 0-9"},
		{"name of a check", rehearsal.Request{Check: "a b"}, "check", "a-z 0-9"},
		{"who", rehearsal.Request{By: "a\x00b"}, "by", "plain text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.field != "meeting" {
				c.r.Meeting = "m"
			}
			p := Make(c.r, DefaultSettings(), known())
			if len(p.Problems) != 1 || p.Problems[0].Field != c.field || !strings.Contains(p.Problems[0].Text, c.says) || p.Problems[0].Force {
				t.Errorf("%+v, want one of %s with %q", p.Problems, c.field, c.says)
			}
		})
	}
	if p := Make(rehearsal.Request{}, Settings{StepSeconds: 20}, Known{}); len(p.Problems) != 2 || !strings.Contains(p.Problems[1].Text, "import") {
		t.Error("of no sites and no name only this is said:", p.Problems)
	}
}

func TestAPlanAboveTheHubIsRefusedUnlessForced(t *testing.T) {
	s := DefaultSettings()
	s.HubMbps = 100
	r := rehearsal.Request{Meeting: "m", Steps: "10,34,all"}
	p := Make(r, s, known())
	if len(p.Problems) != 1 || !p.Problems[0].Force || !strings.Contains(p.Problems[0].Text, "step 3: 136 sites") || !strings.Contains(p.Problems[0].Text, "100 Mbit/s") {
		t.Fatalf("%+v", p.Problems)
	}
	if p.Estimates[1].Over || !p.Estimates[2].Over {
		t.Error("which steps are above it:", p.Estimates)
	}
	r.Force = true
	p = Make(r, s, known())
	if len(p.Problems) != 0 || len(p.Warnings) != 1 || p.Warnings[0].Code != rehearsal.NoteCapacity {
		t.Errorf("forced: %+v %+v", p.Problems, p.Warnings)
	}
	s = DefaultSettings()
	s.MaxSessions = 100
	if p = Make(rehearsal.Request{Meeting: "m"}, s, known()); len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Text, "100 sessions") {
		t.Errorf("sessions: %+v", p.Problems)
	}
}

func TestSitesThatAreOffAreSaid(t *testing.T) {
	k := known()
	s := DefaultSettings()
	s.HubMbps = 1000
	delete(k.Connected, "s08710")
	delete(k.Connected, "s08705")
	p := Make(rehearsal.Request{Meeting: "m"}, s, k)
	if len(p.Problems) != 0 || len(p.Warnings) != 1 || p.Warnings[0].Code != rehearsal.NoteOff || !slices.Equal(p.Warnings[0].Sites, []string{"s08705", "s08710"}) {
		t.Errorf("%+v %+v", p.Problems, p.Warnings)
	}
	k.Connected = nil
	if p = Make(rehearsal.Request{Meeting: "m"}, s, k); len(p.Warnings) != 1 || p.Warnings[0].Code != rehearsal.NoteNotHeard {
		t.Errorf("without a collector: %+v", p.Warnings)
	}
}

func TestScheduleFindsItsNextTime(t *testing.T) {
	e := Entry{Meeting: "Giao ban", Days: []string{"mon", "Thu"}, At: "06:30"}
	for _, c := range []struct{ after, want string }{
		{"2026-11-26T03:00:00Z", "2026-11-29T23:30:00Z"}, // Thursday after half past six: Monday
		{"2026-11-25T23:29:59Z", "2026-11-25T23:30:00Z"}, // Thursday before it, although Wednesday in UTC
		{"2026-11-25T23:30:00Z", "2026-11-29T23:30:00Z"}, // at it: the next
	} {
		after, _ := time.Parse(time.RFC3339, c.after)
		if got := e.Next(after).Format(time.RFC3339); got != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got, c.want)
		}
	}
}

func TestBadSettingsAreExplained(t *testing.T) {
	s := Settings{HubMbps: math.NaN(), MaxSessions: -1, StepSeconds: 1, ResidenceLimit: time.Minute, CPULimit: math.NaN(), Schedule: []Entry{
		{Meeting: "", Profile: "4k", Steps: "34,10", Days: []string{"someday"}, At: "25:00"},
		{Meeting: "m", Days: []string{"mon"}, At: "06:30"}, {Meeting: "m", Days: []string{"mon"}, At: "06:30"},
	}}
	var got []string
	s.Validate(func(at, format string, args ...any) { got = append(got, at) })
	want := []string{"hub_mbps", "max_sessions", "step_seconds", "residence_limit", "cpu_limit", "schedule[0].meeting", "schedule[0].profile", "schedule[0].steps", "schedule[0].days", "schedule[0].at", "schedule[2]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzMake(f *testing.F) {
	f.Add("all", "10,34,68,all", "720p", 20, 0.0)
	f.Add("district:tam dao,s08700", "all", "", 5, 25.6)
	f.Add(",", "-1,99999999999999999999", "x", -4, math.Inf(1))
	k := known()
	f.Fuzz(func(t *testing.T, sites, steps, profile string, seconds int, kbps float64) {
		p := Make(rehearsal.Request{Meeting: "m", Sites: sites, Steps: steps, Profile: profile, StepSeconds: seconds, AudioKbps: kbps}, DefaultSettings(), k)
		if len(p.Problems) > 0 {
			return
		}
		last := 0
		for _, n := range p.Steps {
			if n <= last || n > len(p.Sites) {
				t.Fatalf("steps %v of %d sites", p.Steps, len(p.Sites))
			}
			last = n
		}
		if last == 0 || len(p.Estimates) != len(p.Steps) || p.TotalSeconds < len(p.Steps)*MinStepSeconds || media.Check(p.Profile) != nil {
			t.Fatalf("accepted %+v", p)
		}
	})
}
