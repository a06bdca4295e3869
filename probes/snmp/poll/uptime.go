package poll

import (
	"math"
	"time"

	"communewatch/probes"
)

// uptime is what a poll saw of the device's age.
type uptime struct {
	known   bool
	ticks   uint64  // sysUpTime as it was read: hundredths of seconds in 32 bits, so it is 0 again after 497 days
	wraps   int     // times that it was seen, or found, to have wrapped
	seconds float64 // of the SNMP agent, wraps included
	host    float64 // of the device where it tells (hrSystemUptime); 0 where not
	boots   uint64  // snmpEngineBoots; 0 where it is not told
}

const (
	ticksPerSecond = 100
	wrapSeconds    = float64(1<<32) / ticksPerSecond // 497 days

	// How far clocks of devices may be off, and an answer be late, between two polls.
	slackSeconds = 30
	slackRatio   = 0.02
)

// uptime reads how long the device has been running, and reports whether its counters began anew since prev.
//
// sysUpTime going back may be a restart, or the wrap after 497 days. It was the wrap if it would have happened in just
// this time. On the first poll snmpEngineTime (RFC 3411), seconds that do not wrap, tells how often it did: where the
// two differ by whole wraps. It is believed for nothing else, since some devices count something of their own in it.
func (r *reader) uptime(p *probes.Point, sys values, prev *State) (restarted bool) {
	ticks, ok := sys.uint(oidUpTime)
	if !ok {
		if prev != nil {
			r.state.uptime = prev.uptime
			r.state.uptime.known = false
		}
		return false
	}
	u := uptime{known: true, ticks: ticks & math.MaxUint32}
	u.boots, _ = sys.uint(oidEngineBoots)
	base := float64(u.ticks) / ticksPerSecond
	if engine, ok := sys.uint(oidEngineTime); ok && engine < 1<<31 {
		if wraps := math.Round((float64(engine) - base) / wrapSeconds); wraps >= 1 && math.Abs(float64(engine)-base-wraps*wrapSeconds) < 300 {
			u.wraps = int(wraps)
		}
	}
	was := uptime{}
	if prev != nil {
		was = prev.uptime
	}
	if was.known {
		elapsed := r.state.at.Sub(prev.at).Seconds()
		slack := slackSeconds + slackRatio*elapsed
		expected := float64(was.ticks)/ticksPerSecond + elapsed
		switch {
		case math.Abs(base-expected) <= slack:
			u.wraps = max(u.wraps, was.wraps)
		case expected > wrapSeconds-slack && math.Abs(base-math.Mod(expected, wrapSeconds)) <= slack:
			u.wraps = max(u.wraps, was.wraps+int(expected/wrapSeconds))
		case base < expected-slack:
			restarted = true
		default: // ahead of our clock, which may have been asleep
			u.wraps = max(u.wraps, was.wraps)
		}
		if u.boots > was.boots && was.boots > 0 && base < elapsed+slack {
			restarted = true
		}
	}
	u.seconds = base + float64(u.wraps)*wrapSeconds
	shown := u.seconds
	deviceRestarted := restarted
	if host, ok := sys.uint(oidHrUptime); ok && host <= math.MaxUint32 {
		// The age of the host, whose SNMP agent may be younger. It wraps as well; then it is the younger.
		u.host = float64(host) / ticksPerSecond
		if u.host > u.seconds {
			shown = u.host
		}
		if restarted && was.host > 0 && u.host >= was.host {
			deviceRestarted = false // only its agent began anew
		}
	}
	p.Fields = append(p.Fields, probes.Float("uptime_seconds", shown))
	if was.known {
		p.Fields = append(p.Fields, probes.Bool("restarted", deviceRestarted))
	}
	r.state.uptime = u
	return restarted
}

// window is the time between two readings of counters: by the device's own clock where that is sound, since ours also
// counts the time that questions travel.
func window(prev, now *State) time.Duration {
	ours := now.at.Sub(prev.at)
	if !prev.uptime.known || !now.uptime.known {
		return ours
	}
	theirs := time.Duration((now.uptime.seconds - prev.uptime.seconds) * float64(time.Second))
	if d := theirs - ours; d.Abs() > 2*time.Second+ours/10 {
		return ours
	}
	return theirs
}
