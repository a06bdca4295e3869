package icmp

import (
	"net/netip"
	"regexp"
	"time"

	"communewatch/probes"
)

// Options shape a burst of echo requests.
type Options struct {
	Count    int           `yaml:"count"`         // requests per run
	Interval time.Duration `yaml:"interval"`      // between two requests
	Wait     time.Duration `yaml:"wait"`          // how long an answer may take; later ones count as lost
	Size     int           `yaml:"size_bytes"`    // payload; 8 bytes of ICMP and 20 or 40 of IP header come on top
	DFSize   int           `yaml:"df_size_bytes"` // IP packet size of a don't-fragment check after the burst; 0 for none
	Network  string        `yaml:"network"`       // "ip4", "ip6", or "" for whatever the address, the source or the name has
}

// DefaultOptions is a burst of ten within two seconds, as ping sends them.
func DefaultOptions() Options {
	return Options{Count: 10, Interval: 200 * time.Millisecond, Wait: 2 * time.Second, Size: 56}
}

// What the options may be. A burst is no load test: at the limits it is 100 packets a second for 10 s.
const (
	maxCount    = 1000
	minInterval = 10 * time.Millisecond
	maxInterval = time.Minute
	minWait     = 50 * time.Millisecond
	maxWait     = 30 * time.Second
	minSize     = 24    // the payload carries a time stamp (8 bytes) and an identity (16)
	maxSize     = 65507 // 65535 less the IPv4 and ICMP headers
	minDFSize   = 576   // every link carries that much
	maxDFSize   = 65535 // the largest IP packet

	lookupTimeout = 3 * time.Second // for a target given by name

	// The don't-fragment check is a yes or no, so one answer is enough and three tries outlast ordinary loss.
	dfCount    = 3
	dfInterval = 250 * time.Millisecond
	dfMaxWait  = time.Second

	// slack covers the end of a burst: the reader looks up from its socket every 0.1 s.
	slack = 250 * time.Millisecond
)

// Bound is the longest a run takes: looking up the name, the burst, the don't-fragment check.
func (o Options) Bound() time.Duration {
	bound := lookupTimeout + time.Duration(o.Count-1)*o.Interval + o.Wait + slack
	if o.DFSize > 0 {
		bound += (dfCount-1)*dfInterval + o.dfWait() + slack
	}
	return bound
}

func (o Options) dfWait() time.Duration { return min(o.Wait, dfMaxWait) }

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$`)

// Validate reports every mistake in the options and in the target's address.
func (o Options) Validate(t probes.Target, problem func(at, format string, args ...any)) {
	if o.Count < 1 || o.Count > maxCount {
		problem("count", "%d: use 1 to %d", o.Count, maxCount)
	}
	if o.Interval < minInterval || o.Interval > maxInterval {
		problem("interval", "%v: use %v to %v", o.Interval, minInterval, maxInterval)
	}
	if o.Wait < minWait || o.Wait > maxWait {
		problem("wait", "%v: use %v to %v", o.Wait, minWait, maxWait)
	}
	if o.Size < minSize || o.Size > maxSize {
		problem("size_bytes", "%d: use %d to %d", o.Size, minSize, maxSize)
	}
	switch {
	case o.DFSize == 0:
	case !canForbidFragments:
		problem("df_size_bytes", "the don't-fragment check works on Linux only; remove it")
	case o.DFSize < minDFSize || o.DFSize > maxDFSize:
		problem("df_size_bytes", "%d: use %d to %d, or 0 for no check", o.DFSize, minDFSize, maxDFSize)
	}
	if o.Network != "" && o.Network != "ip4" && o.Network != "ip6" {
		problem("network", "%q: use ip4, ip6, or leave it out", o.Network)
	}
	checkAddress(t.Address, o.Network, func(format string, args ...any) { problem("address", format, args...) })
}

func checkAddress(address, network string, problem func(format string, args ...any)) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		if !hostName.MatchString(address) {
			problem("%q is neither an IP address nor a host name; a port or URL has no place in a ping", short(address))
		}
		return
	}
	a = a.Unmap()
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		problem("%s is not the address of a single host", a)
	case network == "ip4" && !a.Is4(), network == "ip6" && a.Is4():
		problem("%s is no %s address, but network says so", a, network)
	}
}

func short(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
