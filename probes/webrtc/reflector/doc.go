// Package reflector is the far end of test calls: it takes calls by WHIP (RFC 9725) and sends the media of each back to
// where they came from, so that an agent can measure both ways of its line with real ICE, DTLS and SRTP.
//
// Packets with a stamp of the call (package media) are measured by the sender's own numbers and sent back with an echo
// written into them: when they came, when they left again, how many have come, and a number for the way back. A packet
// that comes twice is counted and not sent back, or the way back would be blamed for it. Media without stamps, as
// browsers send, are sent back untouched and measured by their RTP sequence.
//
// That media come back is a deliberate extension of WHIP, which only takes them; so the endpoint has a path of its own.
//
// A reflector that is busy measures itself, not lines. It says what it adds (how long packets stay, its use of the
// processors, what its socket dropped), and turns calls away before that would be felt.
package reflector
