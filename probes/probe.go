package probes

import (
	"context"
	"fmt"
	"regexp"
)

// A Probe is one kind of test of one target. Probe runs it once and returns when the run is over or ctx ends,
// whichever is first; it starts nothing that outlives the call. It may be called again, but not concurrently.
//
// The points carry measurement, fields and any per-measurement tags (such as "resolver"); the caller fills in the
// identity tags and the time. A run that failed may still return points: 20 pings sent and none answered is a
// measurement. The error, if any, is turned into an Outcome by OutcomeOf.
type Probe interface {
	Probe(ctx context.Context) ([]Point, error)
}

// Path names one of the ways out of a site. A result belongs to exactly one.
type Path string

// The three paths of a commune office.
const (
	PathLAN       Path = "lan"       // the office network itself
	PathBroadband Path = "broadband" // the fixed broadband line
	PathDedicated Path = "dedicated" // the government's dedicated data network (TSLCD)
)

// Paths lists every path in the order in which screens show them.
func Paths() []Path { return []Path{PathLAN, PathBroadband, PathDedicated} }

// Valid reports whether p is one of Paths.
func (p Path) Valid() bool { return p == PathLAN || p == PathBroadband || p == PathDedicated }

// Layer names what a check is evidence for. It is the path for most checks; a conference endpoint is reached over
// some path, but a failure of it is the conference's.
type Layer string

// The four layers of the health map.
const (
	LayerLAN        Layer = "lan"
	LayerBroadband  Layer = "broadband"
	LayerDedicated  Layer = "dedicated"
	LayerConference Layer = "conference"
)

// Layers lists every layer in the order in which screens show them.
func Layers() []Layer {
	return []Layer{LayerLAN, LayerBroadband, LayerDedicated, LayerConference}
}

// LayerOf is the layer that a kind of check is evidence for where nobody says: what only a conference needs is the
// conference's, everything else the path's.
func LayerOf(k Kind, p Path) Layer {
	switch k {
	case KindWebRTC, KindSIP, KindSTUN, KindH323:
		return LayerConference
	}
	return Layer(p)
}

// Valid reports whether l is one of Layers.
func (l Layer) Valid() bool { return l == LayerConference || Path(l).Valid() }

// Kind names a kind of probe; it is the name of the probe's room.
type Kind string

// The kinds of probe that exist.
const (
	KindICMP    Kind = "icmp"
	KindTCP     Kind = "tcp"
	KindDNS     Kind = "dns"
	KindHTTP    Kind = "http"
	KindSNMP    Kind = "snmp"    // polls one device and says what it is
	KindSweep   Kind = "sweep"   // looks through an allow-listed network for equipment
	KindMachine Kind = "machine" // the agent's own machine as a piece of equipment
	KindWebRTC  Kind = "webrtc"  // one conference call with real media
	KindSIP     Kind = "sip"     // SIP OPTIONS
	KindSTUN    Kind = "stun"    // a STUN binding request
	KindH323    Kind = "h323"    // H.323 call signalling and, if wanted, a gatekeeper
)

// Kinds lists every kind of probe.
func Kinds() []Kind {
	return []Kind{KindICMP, KindTCP, KindDNS, KindHTTP, KindSNMP, KindSweep, KindMachine, KindWebRTC, KindSIP, KindSTUN, KindH323}
}

// Proof says how sure a result is about the path it travelled.
type Proof string

// The proofs of path, from strongest to none.
const (
	ProofProved   Proof = "proved"   // the first hop (or another hop named in the config) answered as expected
	ProofBound    Proof = "bound"    // the socket was bound to the path's own network device
	ProofUnproven Proof = "unproven" // neither: the destination alone chose the way
	ProofWrong    Proof = "wrong"    // a hop answered that belongs to another path: the result is not this path's
)

// Target is what a probe is aimed at, as results name it.
type Target struct {
	Name    string // the check's name, unique within its agent: the tag "target"
	Kind    Kind
	Path    Path
	Layer   Layer
	Address string // host, host:port or URL, as the kind wants it; never a tag
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// CheckName returns an error if s can't serve as a site, agent or target name. Names are tag values and file
// names, so they are short and plain: lower-case ASCII letters, digits, dot, dash, underscore, at most 63.
func CheckName(s string) error {
	if namePattern.MatchString(s) {
		return nil
	}
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return fmt.Errorf("name %q: use 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit", s)
}
