package probes

// Direction says which way media of a call went, as seen from the site.
type Direction string

// The directions.
const (
	DirectionUp    Direction = "up"    // from the site to the hub
	DirectionDown  Direction = "down"  // from the hub to the site
	DirectionRound Direction = "round" // there and back: the far end does not tell the ways apart
)

// Media is a kind of media stream.
type Media string

// The media.
const (
	MediaAudio Media = "audio"
	MediaVideo Media = "video"
)

// conferenceSchema is the part of the contract about conferences: calls with real media, and what else tells whether
// a conference service or a room's endpoint is there.
func conferenceSchema(targetTags []TagSpec) []MeasurementSpec {
	with := func(more ...TagSpec) []TagSpec { return append(targetTags[:len(targetTags):len(targetTags)], more...) }
	count := func(key, unit, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeInt, Unit: unit, Doc: doc}
	}
	ratio := func(key, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Unit: "ratio 0..1", Doc: doc}
	}
	seconds := func(key, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Unit: "seconds", Doc: doc}
	}
	delay := func(key, doc string) FieldSpec { // a length of time that percentiles are kept of
		f := seconds(key, doc)
		f.Distribution = true
		return f
	}
	rate := func(key, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Unit: "bit/s", Distribution: true, Doc: doc}
	}
	number := func(key, doc string) FieldSpec { return FieldSpec{Key: key, Type: TypeFloat, Doc: doc} }
	score := func(key, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Distribution: true, Doc: doc}
	}
	truth := func(key, doc string) FieldSpec { return FieldSpec{Key: key, Type: TypeBool, Doc: doc} }
	text := func(key, doc string) FieldSpec { return FieldSpec{Key: key, Type: TypeString, Doc: doc} }
	enum := func(key, doc string, values ...string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeString, Enum: values, Doc: doc}
	}
	return []MeasurementSpec{
		{
			Name: "webrtc",
			Kind: KindWebRTC,
			Doc:  "One call with real ICE, DTLS and SRTP: how long it took to set up, its delay, what it would have been like for people, and whether the ends of it were good enough to measure the line.",
			Tags: targetTags,
			Fields: []FieldSpec{
				enum("service", "what was called", "reflector", "whip", "whep", "janus"),
				text("profile", "the streams' profile: audio, 360p, 720p, 1080p or one of the config's"),
				truth("rehearsal", "the call was part of a rehearsal: many sites called at once"),
				seconds("media_seconds", "how long media were sent"),
				delay("signalling_seconds", "offer sent to answer read; absent when none came, as the others"),
				delay("ice_seconds", "answer read to ICE connected"),
				delay("dtls_seconds", "ICE connected to DTLS connected"),
				delay("first_media_seconds", "DTLS connected to the first media packet received"),
				delay("setup_seconds", "start of the call to the first media packet received"),
				enum("transport", "what ICE chose", "udp", "tcp"),
				delay("rtt_median_seconds", "median round-trip time of media packets, without their stay at the reflector"),
				delay("rtt_p95_seconds", "95th percentile of it"),
				seconds("rtt_max_seconds", "largest"),
				delay("data_rtt_median_seconds", "median round-trip time of messages on the data channel; absent without one"),
				delay("data_rtt_p95_seconds", "95th percentile of it"),
				ratio("data_loss_ratio", "messages without an echo, of those sent; absent for a call that broke off"),
				delay("delay_up_seconds", "one-way delay, median; only with proof that both clocks are synchronised, to delay_error_seconds"),
				delay("delay_down_seconds", "the same from the hub to the site"),
				seconds("delay_error_seconds", "how far off the two delays may be"),
				rate("usable_video_bps", "the highest rate of the stepped ramp that went through clean both ways; absent without a ramp"),
				enum("ramp_end", "why the ramp ended", "complete", "loss", "delay", "budget", "pacing", "stopped"),
				enum("grade", "the worse direction by the loss bands of conference rooms: below 1 % good, to 5 % degraded, above bad; discards count as loss", "good", "degraded", "bad"),
				score("mos_audio", "estimated listening and conversational quality 1..5 of the worse direction, ITU-T G.107.2 (fullband) with parameters for Opus; a planning model"),
				score("r_audio", "the transmission rating R of it, 0..148"),
				score("mos_audio_narrowband", "the same on the scale of telephony, ITU-T G.107 with G.711: not to be compared with mos_audio"),
				score("mos_video", "estimated video quality 1..5 of the worse direction, ITU-T G.1070; a planning model, valid to 3 % loss"),
				number("share_delay", "points of R that delay took"),
				number("share_loss", "points of R that lost packets took"),
				number("share_discard", "points of R that packets too late for playout took"),
				number("share_codec", "points of R that the codec takes even on a perfect line"),
				enum("limited_by", "the end of the call that was busy or dropped packets: the line may be better than the numbers, not worse", "none", "agent", "reflector"),
				delay("pacing_p95_seconds", "how late the agent sent its packets: 95th percentile"),
				count("send_errors", "packets", "packets that the agent's system refused to send"),
				seconds("send_wait_max_seconds", "the longest that sending one packet took, from asking for it to the system having it"),
				count("send_queue_max_bytes", "bytes", "the most that waited in the agent's system to be sent, as seen after each frame, the system's own bookkeeping included; only Linux tells"),
				count("agent_dropped", "packets", "packets that arrived and that the agent's system dropped, because they were not read in time: they count as lost; only Linux tells"),
				ratio("agent_cpu_ratio", "processor time of the test per second of media; above 1 on several processors"),
				count("agent_rss_bytes", "bytes", "resident memory of the test"),
				delay("residence_median_seconds", "median stay of a packet at the reflector; absent where the far end is no reflector of ours, as what follows"),
				delay("residence_p99_seconds", "99th percentile of it: the reflector's own noise"),
				count("reflector_sessions", "", "calls that the reflector had at once, at most, during this one"),
				ratio("reflector_cpu_ratio", "the reflector's use of the processors it may use, at most"),
				count("reflector_dropped", "packets", "what agent_dropped is, at the reflector, of all its calls during this one: those of this call count as lost on the way up"),
				count("foreign", "packets", "packets that were not of this call, or damaged; they count nowhere else"),
			},
		},
		{
			Name: "webrtc_flow",
			Kind: KindWebRTC,
			Doc:  "The media of one call, one way: a row for each direction and kind of media. Loss is lost/sent by the sender's own numbers, never by a guess of the receiver's.",
			Tags: with(
				TagSpec{Key: "direction", Enum: []string{string(DirectionUp), string(DirectionDown), string(DirectionRound)}, Doc: "up is from the site to the hub; round where the far end does not tell the ways apart"},
				TagSpec{Key: "media", Enum: []string{string(MediaAudio), string(MediaVideo)}, Doc: "audio or video"}),
			Fields: []FieldSpec{
				count("sent", "packets", "packets sent"),
				count("received", "packets", "of them received, duplicates not counted"),
				count("lost", "packets", "sent - received"),
				ratio("loss_ratio", "lost / sent"),
				count("loss_runs", "", "unbroken runs of lost packets"),
				count("longest_loss_run", "packets", "length of the longest"),
				number("burstiness", "mean length of a loss run over the length that random loss would have (BurstR of ITU-T G.107); 1 is random; absent without loss"),
				count("discarded", "packets", "received, but too late for the simulated de-jitter buffer"),
				ratio("discard_ratio", "discarded / sent"),
				seconds("playout_seconds", "length of that buffer beyond the smallest delay: fixed, 60 ms for audio and 120 ms for video unless set"),
				count("reordered", "packets", "received after a packet that was sent later (RFC 4737 type-P-reordered)"),
				count("duplicates", "packets", "further copies of a packet already received"),
				delay("jitter_seconds", "interarrival jitter at the end of the call (RFC 3550 A.8), of video by the first packet of each frame; absent below two packets, as the others of time"),
				delay("ipdv_mean_seconds", "mean |D(i)| of consecutive packets (RFC 3393 IPDV)"),
				delay("ipdv_p95_seconds", "95th percentile of it"),
				delay("variation_p95_seconds", "95th percentile of one-way delay above its smallest (RFC 5481 PDV)"),
				seconds("variation_max_seconds", "largest"),
				count("frames", "", "frames sent; absent for audio, as all of frames"),
				count("frames_lost", "", "frames of which a packet was lost or too late"),
				ratio("frame_loss_ratio", "frames_lost / frames"),
				count("freezes", "", "times that the picture would have stood still: at least three frame times, and 150 ms more than one, from a whole frame to the next or to the end (the rule of freezeCount in W3C's webrtc-stats)"),
				seconds("frozen_seconds", "length of these altogether, from whole frame to whole frame"),
				rate("goodput_bps", "received bits of media per second of media, headers not counted"),
			},
			Ratios: []RatioSpec{{Ratio: "loss_ratio", Numerator: "lost", Denominator: "sent"}},
		},
		{
			Name: "sip",
			Kind: KindSIP,
			Doc:  "One SIP OPTIONS request. Any final response is a sign of life.",
			Tags: targetTags,
			Fields: []FieldSpec{
				enum("transport", "how it was asked", "udp", "tcp", "tls"),
				count("code", "", "status code of the final response (RFC 3261); absent when none came"),
				text("reason", "its reason phrase"),
				text("user_agent", "what the far end calls itself (User-Agent, else Server)"),
				text("allow", "methods it says it takes"),
				delay("connect_seconds", "TCP connection; absent for UDP"),
				delay("tls_seconds", "TLS handshake; absent without TLS"),
				delay("response_seconds", "request sent to final response read"),
				count("retransmits", "", "requests sent again because no answer came"),
				truth("connected", "the port took a TCP connection, whether or not SIP was answered; over UDP tried, and told, only where nothing answered"),
				FieldSpec{Key: "cert_expiry_seconds", Type: TypeFloat, Unit: "seconds", Signed: true, Doc: "time until the certificate expires; absent without TLS"},
			},
		},
		{
			Name: "stun",
			Kind: KindSTUN,
			Doc:  "One STUN binding request (RFC 8489).",
			Tags: targetTags,
			Fields: []FieldSpec{
				enum("transport", "how it was asked", "udp", "tcp", "tls"),
				delay("connect_seconds", "TCP connection; absent for UDP"),
				delay("tls_seconds", "TLS handshake; absent without TLS"),
				delay("response_seconds", "request sent to response read, retransmissions included"),
				count("retransmits", "", "requests sent again because no answer came"),
				text("mapped_address", "the address that the server saw: behind a NAT not the machine's own"),
				truth("nat", "it is not the address that the request was sent from"),
				text("software", "what the server calls itself"),
			},
		},
		{
			Name: "h323",
			Kind: KindH323,
			Doc:  "One look at an H.323 endpoint or gatekeeper: the call signalling port, and RAS where it is wanted.",
			Tags: targetTags,
			Fields: []FieldSpec{
				delay("connect_seconds", "TCP connection to the call signalling port; absent when not connected"),
				truth("connected", "the call signalling port took a connection"),
				enum("gatekeeper", "what a gatekeeper request (RAS GRQ) got; absent when none was sent", "confirmed", "rejected", "silent", "unreadable"),
				delay("gatekeeper_seconds", "gatekeeper request sent to answer read"),
				text("gatekeeper_id", "the gatekeeper's name"),
				text("gatekeeper_reason", "why it rejected the request, as H.225.0 calls it (terminalExcluded, ...)"),
			},
		},
	}
}
