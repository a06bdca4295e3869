// Package kinds is what the collector knows of the options of checks without being able to run any: which there are, which
// hold secrets, and how often a check runs.
package kinds

import (
	"slices"
	"strings"
	"time"

	"communewatch/probes"
)

// Options are the options that each kind of check knows, as agents have them (docs/agent.md). A test holds them
// against the probes' own.
func Options() map[probes.Kind][]string {
	return map[probes.Kind][]string{
		probes.KindICMP:    {"count", "df_size_bytes", "interval", "network", "size_bytes", "wait"},
		probes.KindTCP:     {"timeout"},
		probes.KindDNS:     {"expect", "resolvers", "timeout", "tries", "type"},
		probes.KindHTTP:    {"body_contains", "body_matches", "ca_file", "headers", "max_body", "method", "redirects", "skip_verify", "status", "timeout"},
		probes.KindSNMP:    {"community", "community_file", "deadline", "identify_every", "interfaces", "max_rows", "profiles", "retries", "timeout", "v3", "version"},
		probes.KindSweep:   {"allow", "exclude", "knock", "knock_timeout", "longest", "parallel", "ports", "rate", "rules", "snmp", "timeout"},
		probes.KindMachine: {"repeat", "timeout"},
		probes.KindWebRTC: {"allow_plaintext", "ca_file", "data_channel", "duration", "line_kbps", "playout", "profile", "profiles", "ramp", "service", "share",
			"skip_verify", "timeout", "token", "token_env", "token_file"},
		probes.KindSIP:  {"ca_file", "max_forwards", "skip_verify", "timeout", "transport"},
		probes.KindSTUN: {"ca_file", "skip_verify", "timeout", "transport"},
		probes.KindH323: {"gatekeeper", "gatekeeper_address", "signalling", "timeout"},
	}
}

// Secret reports whether an option of any depth holds what nobody may read.
func Secret(key string) bool {
	return slices.Contains([]string{"community", "auth_key", "priv_key", "token"}, key) || slices.Contains([]string{"authorization", "cookie"}, strings.ToLower(key))
}

// SecretPlace reports whether agents take a secret there: the options that hold one, and headers.
func SecretPlace(at string) bool {
	return slices.Contains([]string{"community", "auth_key", "priv_key", "token"}, at[strings.LastIndexByte(at, '.')+1:]) || strings.Contains(at, ".options.headers.")
}

// MachineFile reports whether an option names a file, folder or variable of the agent's machine: whoever may choose these
// from afar can have any file sent to a server of theirs.
func MachineFile(key string, value any) bool {
	_, text := value.(string)
	return strings.HasSuffix(key, "_file") || strings.HasSuffix(key, "_env") || key == "rules" || key == "profiles" && text // of webrtc they are written out
}

// Interval is how often a check of a kind runs that says nothing, in an agent whose defaults say nothing.
func Interval(kind probes.Kind) time.Duration {
	if d := Own(kind); d > 0 {
		return d
	}
	return 30 * time.Second
}

// Own is the interval of kinds that run more seldom than an agent's defaults say; 0 for the others.
func Own(kind probes.Kind) time.Duration {
	switch kind {
	case probes.KindSNMP, probes.KindSIP, probes.KindH323:
		return time.Minute
	case probes.KindMachine:
		return time.Hour
	case probes.KindSweep:
		return 24 * time.Hour
	case probes.KindWebRTC:
		return 15 * time.Minute
	}
	return 0
}

// What a run takes beside its own timeouts, as agents have it.
const (
	icmpLookup, icmpSlack  = 3 * time.Second, 250 * time.Millisecond
	dfTries, dfGap, dfWait = 3, 250 * time.Millisecond, time.Second
	callEnd, rampPause     = 12 * time.Second, 2 * time.Second
	grace                  = time.Second
	proving                = 3 * time.Second // of a path that a hop proves
)

// Longest is how long a run of a check may take: agents refuse a check that comes round sooner. Options that are wrong are
// taken for what agents take where nothing is said.
func Longest(kind probes.Kind, options map[string]any, proved bool) time.Duration {
	d := bound(kind, options) + grace
	if proved {
		d += proving
	}
	return d
}

// bound is how long a run may take by its own timeouts.
func bound(kind probes.Kind, o Chosen) time.Duration {
	const second = time.Second
	switch kind {
	case probes.KindICMP:
		wait := o.Duration("wait", 2*second)
		d := icmpLookup + time.Duration(max(0, o.Number("count", 10)-1))*o.Duration("interval", 200*time.Millisecond) + wait + icmpSlack
		if o.Number("df_size_bytes", 0) > 0 {
			d += (dfTries-1)*dfGap + min(wait, dfWait) + icmpSlack
		}
		return d
	case probes.KindDNS:
		return time.Duration(len(o.List("resolvers"))) * time.Duration(o.Number("tries", 2)+1) * o.Duration("timeout", 2*second)
	case probes.KindHTTP, probes.KindMachine:
		return o.Duration("timeout", 10*second)
	case probes.KindTCP, probes.KindSIP, probes.KindSTUN:
		return o.Duration("timeout", 5*second)
	case probes.KindH323:
		timeout, sum := o.Duration("timeout", 5*second), time.Duration(0)
		if o.Flag("signalling", true) {
			sum += timeout
		}
		if o.Flag("gatekeeper", false) {
			sum += timeout
		}
		return sum
	case probes.KindSNMP:
		return o.Duration("deadline", 45*second)
	case probes.KindSweep:
		return o.Duration("longest", 30*time.Minute)
	case probes.KindWebRTC:
		d := o.Duration("timeout", 20*second) + o.Duration("duration", 15*second) + callEnd
		if ramp := o.In("ramp"); ramp.Flag("enabled", false) {
			steps := 4
			if own := ramp.List("steps_kbps"); own != nil {
				steps = len(own)
			}
			d += time.Duration(steps) * (ramp.Duration("step", 2*second) + rampPause)
		}
		return d
	}
	return 0
}
