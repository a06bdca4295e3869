// Package scenario says what goes wrong in the lab, and when: orders that are given once from the command line, or
// a file of them that is played like a film. It is data and validation only; the lab carries the orders out.
package scenario

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"communewatch/deploy/lab/database"
	"communewatch/deploy/lab/fleet"
	"communewatch/deploy/lab/gear"
	"communewatch/probes/settings"
)

// What an order does.
const (
	DoService   = "service"   // put a service of a site into a mode
	DoDevice    = "device"    // let something happen to a device of a site
	DoAgent     = "agent"     // stop or start the agent of a site
	DoClock     = "clock"     // set the clock of a site's agent wrong by Skew
	DoCollector = "collector" // stop or start the collector
	DoDatabase  = "database"  // kill, freeze or slow down the lab's InfluxDB, or bring it back
	DoMedia     = "media"     // let conference calls of a site, or the hub's, travel over a bad line
)

// Order is one thing to do. Undone after For, if For is above zero.
type Order struct {
	Do      string        `yaml:"do" json:"do"`
	Sites   []string      `yaml:"sites" json:"sites,omitempty"`     // ids; not for the collector, the database and media of the hub
	Service string        `yaml:"service" json:"service,omitempty"` // gear.ServiceNames, or "all"
	Device  string        `yaml:"device" json:"device,omitempty"`   // fleet.Names, or "all"
	Mode    string        `yaml:"mode" json:"mode,omitempty"`       // service: up down hang slow wrong; device: gear.DeviceModes; agent, collector: stop start; database: kill hang slow up; media: cut up
	Delay   time.Duration `yaml:"delay" json:"delay,omitempty"`     // service, device, database slow; media
	Skew    time.Duration `yaml:"skew" json:"skew,omitempty"`       // clock
	Jitter  time.Duration `yaml:"jitter" json:"jitter,omitempty"`   // media: up to so much more than delay
	For     time.Duration `yaml:"for" json:"for,omitempty"`

	Media `yaml:",inline"` // media only
}

// Step is an order at a time after the start.
type Step struct {
	At    time.Duration `yaml:"at"`
	Order `yaml:",inline"`
}

// Scenario is a file of steps.
type Scenario struct {
	Steps []Step `yaml:"steps"`
}

// Bounds of an order.
const (
	maxSteps = 10_000
	maxSkew  = 50 * 365 * 24 * time.Hour // an empty clock battery says 1970 or so
)

// Read reads a scenario file for the given sites. Its error lists every mistake.
func Read(file string, sites []string) (Scenario, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(file, data, sites)
}

// Parse is Read for a file that has been read. The steps come back in order of time.
func Parse(file string, data []byte, sites []string) (Scenario, error) {
	var s Scenario
	doc := settings.Read(file, data, &s)
	if len(s.Steps) > maxSteps {
		doc.Problem("steps", "more than %d steps", maxSteps)
	}
	for i, st := range s.Steps {
		at := fmt.Sprintf("steps[%d]", i)
		if st.At < 0 {
			doc.Problem(at+".at", "must not be negative")
		}
		st.Order.check(sites, func(key, format string, args ...any) { doc.Problem(at+"."+key, format, args...) })
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return s, doc.Err()
}

// Validate returns what is wrong with an order for the given sites, or nil.
func (o Order) Validate(sites []string) error {
	var problems []string
	o.check(sites, func(key, format string, args ...any) {
		problems = append(problems, key+": "+fmt.Sprintf(format, args...))
	})
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "; "))
	}
	return nil
}

func (o Order) check(sites []string, problem func(key, format string, args ...any)) {
	if o.For < 0 {
		problem("for", "must not be negative")
	}
	if o.Do == DoMedia && o.Hub {
		if len(o.Sites) > 0 {
			problem("sites", "the hub's line is every site's; name sites or the hub")
		}
	} else if o.Do != DoCollector && o.Do != DoDatabase {
		if len(o.Sites) == 0 {
			problem("sites", "name the sites that are meant, for example [%s]", first(sites))
		}
		for i, s := range o.Sites {
			if !slices.Contains(sites, s) {
				problem(fmt.Sprintf("sites[%d]", i), "there is no site %q in this lab", s)
			}
		}
	}
	switch o.Do {
	case DoService:
		if o.Service != "all" && !slices.Contains(gear.ServiceNames(), o.Service) {
			problem("service", "%q is not one of %s, or all", o.Service, strings.Join(gear.ServiceNames(), ", "))
		}
		if err := o.Fault().Validate(); err != nil {
			problem("mode", "%v", err)
		}
	case DoDevice:
		if o.Device != "all" && !slices.Contains(fleet.Names(), o.Device) {
			problem("device", "%q is not one of %s, or all", o.Device, strings.Join(fleet.Names(), ", "))
		}
		if err := o.DeviceFault().Validate(); err != nil {
			problem("mode", "%v", err)
		}
	case DoAgent, DoCollector:
		if o.Mode != "stop" && o.Mode != "start" {
			problem("mode", "%q is not stop or start", o.Mode)
		}
	case DoDatabase:
		if !slices.Contains(database.Modes(), o.Mode) {
			problem("mode", "%q is not one of %s", o.Mode, strings.Join(database.Modes(), ", "))
		}
		if slow := o.Mode == database.Slow; slow != (o.Delay > 0) || o.Delay > database.MaxDelay {
			problem("delay", "a slow database stands still for 1ms to %v at a time; other modes take none", database.MaxDelay)
		}
	case DoClock:
		if o.Skew.Abs() > maxSkew {
			problem("skew", "at most %v", maxSkew)
		}
	case DoMedia:
		o.checkMedia(problem)
	default:
		problem("do", "%q is not one of service, device, agent, clock, collector, database, media", o.Do)
	}
}

func first(sites []string) string {
	if len(sites) == 0 {
		return "s00001"
	}
	return sites[0]
}

// Fault is what an order of DoService sets.
func (o Order) Fault() gear.Fault {
	mode := gear.Mode(o.Mode)
	if o.Mode == "up" {
		mode = gear.Up
	}
	return gear.Fault{Mode: mode, Delay: o.Delay}
}

// DeviceFault is what an order of DoDevice sets.
func (o Order) DeviceFault() gear.DeviceFault { return gear.DeviceFault{Mode: o.Mode, Delay: o.Delay} }

// Undo is the order that takes back o.
func (o Order) Undo() Order {
	u := Order{Do: o.Do, Sites: o.Sites, Service: o.Service, Device: o.Device}
	switch o.Do {
	case DoService, DoDevice, DoDatabase:
		u.Mode = "up"
	case DoMedia:
		u.Mode, u.Media = "up", Media{Hub: o.Hub, Direction: o.Direction}
	case DoAgent, DoCollector:
		u.Mode = "start"
		if o.Mode == "start" {
			u.Mode = "stop"
		}
	}
	return u
}

// String says the order in a few words.
func (o Order) String() string {
	var b strings.Builder
	b.WriteString(o.Do)
	for _, w := range []string{o.Service, o.Device, o.Mode} {
		if w != "" {
			b.WriteString(" " + w)
		}
	}
	if o.Delay > 0 {
		fmt.Fprintf(&b, " by %v", o.Delay)
	}
	if o.Do == DoClock {
		fmt.Fprintf(&b, " wrong by %v", o.Skew)
	}
	o.describeMedia(&b)
	switch n := len(o.Sites); {
	case n == 1:
		b.WriteString(" at " + o.Sites[0])
	case n > 1:
		fmt.Fprintf(&b, " at %d sites", n)
	}
	if o.For > 0 {
		fmt.Fprintf(&b, " for %v", o.For)
	}
	return b.String()
}
