// Package whip is how calls are set up and ended over HTTP: WHIP (RFC 9725), and what it has no words for when the far
// end is a reflector of ours: the numbers that each side has of a call when it is over.
package whip

import (
	"communewatch/probes"
	"communewatch/probes/webrtc/clock"
	"communewatch/probes/webrtc/report"
)

// MediaTypeSDP is the media type of offers and answers.
const MediaTypeSDP = "application/sdp"

// HeaderSession is a header of a reflector's 201: the number of the call for the stamps of its packets, 16 hexadecimal
// digits. Other services don't send it.
const HeaderSession = "Communewatch-Session"

// Sent is the body of the DELETE that ends a call with a reflector (application/json): what was sent, so that what was
// lost at the end of a stream is counted.
type Sent struct {
	Streams      []SentStream `json:"streams"`
	MediaSeconds float64      `json:"media_seconds"` // how long media were sent
}

// SentStream is one stream of stamped packets.
type SentStream struct {
	Stream uint8        `json:"stream"` // as in its stamps
	Media  probes.Media `json:"media"`
	Sent   int          `json:"sent"`   // packets
	Frames int          `json:"frames"` // of video
}

// Ending is the answer to that DELETE: what the reflector received.
type Ending struct {
	// Flows are the way up, one for each of Streams, in the same order: of a call that the reflector ended itself, up to
	// the last packet received.
	Flows     []report.Flow    `json:"flows"`
	Streams   []Stream         `json:"streams"` // stamped or not
	Reflector report.Reflector `json:"reflector"`
	Clock     clock.Clock      `json:"clock"`   // of the reflector; with its Zero the times in echoes are times of day
	Foreign   int              `json:"foreign"` // packets that were of another call, or damaged; not sent back
	// Drops is how many packets, of all calls, the reflector's kernel dropped during the call because they were not read
	// in time; nil where it does not tell. What is lost while it grows may not have been lost on the line.
	Drops *uint64 `json:"udp_drops,omitempty"`
	Ended string  `json:"ended"` // how, as in communewatch_reflector_sessions_ended_total
}

// How calls end at a reflector.
const (
	EndedCaller   = "caller"   // by DELETE
	EndedGone     = "gone"     // the connection was closed or lost
	EndedSetup    = "setup"    // the offer could not be answered
	EndedConnect  = "connect"  // not connected in time
	EndedIdle     = "idle"     // no media for a while
	EndedLifetime = "lifetime" // as long as a call may be
	EndedRate     = "rate"     // more media than a call may send
	EndedClosing  = "closing"  // the reflector stops
	EndedRevoked  = "revoked"  // the caller may not call any more
)

// Early says whether the reflector ended the call on its own account. What was sent after that was not lost on the line.
func Early(ended string) bool {
	return ended == EndedIdle || ended == EndedLifetime || ended == EndedRate || ended == EndedClosing || ended == EndedRevoked
}

// Stream is what came of one stream.
type Stream struct {
	Stream   uint8        `json:"stream"` // as in its stamps; without them the number of its track
	Media    probes.Media `json:"media"`
	Stamped  bool         `json:"stamped"`
	Received uint32       `json:"received"` // packets, each counted once
	Highest  uint32       `json:"highest"`  // packet number; 0 also if nothing came
	Unsent   uint32       `json:"unsent"`   // packets that could not be sent back: they are not missing on the way down
}
