// Package relay carries a conference's media between a site and its hub over lines that are as bad as a test or a demo
// wants them, and keeps the books of what it did: they are the truth that a measurement is compared with.
//
// A Relay is the line of one site. In front stands WHIP's signalling (RFC 9725): the relay passes an offer on to the hub
// and writes an address of its own into the answer's ICE candidates. Behind it, each call has a socket that faces the
// site and one that faces the hub, so that the hub sees as many peers as there are calls; whose packets are whose the
// ends tell by ICE's user names and not by addresses, so nobody notices.
//
// Media is SRTP, and the relay has no keys. It needs none: RFC 3711 leaves the RTP header in clear, payload type,
// sequence number, timestamp and SSRC among it. A packet whose first byte is 128 to 191 is RTP, or RTCP if the second
// is 192 to 223; 0 to 3 is STUN, 20 to 63 DTLS (RFC 7983).
//
// What happens to packets is either scripted, by their numbers in their stream, and then exact; or drawn from a seeded
// generator, and then the same for the same packets in the same order. Times are absolute: a packet that is held up by
// 20 ms is due 20 ms after it came in, however late the one before it was. By how much the relay itself was late is in
// its books too.
package relay
