package main

import (
	"time"

	"communewatch/probes"
	"communewatch/probes/webrtc/call"

	"github.com/spf13/pflag"
)

// conferenceKinds are the kinds of probe that look at conference services.
func conferenceKinds() []probeKind {
	return []probeKind{
		{
			kind: probes.KindWebRTC, target: "URL", short: "Make a conference call with real media, and say how good it was", repeats: true,
			example: "communewatch-agent probe webrtc https://10.100.0.10:8443/whip/echo --token-file token --profile 720p",
			flags: func(f *pflag.FlagSet) {
				f.String("token", "", "the service's `token`; whoever lists this machine's processes sees it")
				f.String("token-file", "", "`file` with the token")
				f.String("service", call.Auto, "auto, reflector, whip, whep or janus")
				f.String("profile", "720p", "streams: audio, low, 360p, 720p or 1080p")
				f.Duration("duration", 15*time.Second, "`time` that media are sent")
				f.Bool("ramp", false, "then search for the highest rate of video that goes through clean")
				f.Bool("data-channel", true, "also measure messages on a data channel")
				f.Int("line-kbps", 10_000, "`kbit/s` of the line's smaller direction, by contract")
				f.Float64("share", 0.5, "`part` of the line that the test may take, 0 to 1")
				f.Duration("timeout", 20*time.Second, "`time` that setting up may take")
				f.String("ca-file", "", "PEM `file` of the authorities to trust instead of the system's")
				f.Bool("skip-verify", false, "accept any certificate")
				f.Bool("allow-plaintext", false, "send the token over http too: it can be read on the way")
			},
			options: map[string]string{"token": "token", "token-file": "token_file", "service": "service", "profile": "profile", "duration": "duration",
				"allow-plaintext": "allow_plaintext", "ramp": "ramp.enabled", "data-channel": "data_channel", "line-kbps": "line_kbps", "share": "share", "timeout": "timeout",
				"ca-file": "ca_file", "skip-verify": "skip_verify"},
		},
		{
			kind: probes.KindSIP, target: "TARGET", short: "Ask a SIP server or endpoint for its options (OPTIONS); rings nowhere", repeats: true,
			example: "communewatch-agent probe sip 'sip:10.100.0.20;transport=tcp'",
			flags: func(f *pflag.FlagSet) {
				f.String("transport", "", "udp, tcp or tls (default: as a URI says, else udp)")
				f.Duration("timeout", 5*time.Second, "`time` the whole run may take")
				f.Int("max-forwards", 70, "`proxies` that may pass the request on; 0 asks the first one itself")
				f.String("ca-file", "", "PEM `file` of the authorities to trust instead of the system's")
				f.Bool("skip-verify", false, "accept any certificate")
			},
			options: map[string]string{"transport": "transport", "timeout": "timeout", "max-forwards": "max_forwards", "ca-file": "ca_file", "skip-verify": "skip_verify"},
		},
		{
			kind: probes.KindSTUN, target: "TARGET", short: "Ask a STUN server which address it sees", repeats: true,
			example: "communewatch-agent probe stun stun:10.100.0.21",
			flags: func(f *pflag.FlagSet) {
				f.String("transport", "", "udp, tcp or tls (default: tls for a stuns URI, else udp)")
				f.Duration("timeout", 5*time.Second, "`time` the whole run may take")
				f.String("ca-file", "", "PEM `file` of the authorities to trust instead of the system's")
				f.Bool("skip-verify", false, "accept any certificate")
			},
			options: map[string]string{"transport": "transport", "timeout": "timeout", "ca-file": "ca_file", "skip-verify": "skip_verify"},
		},
		{
			kind: probes.KindH323, target: "HOST[:PORT]", short: "Look whether an H.323 endpoint takes calls; rings nowhere", repeats: true,
			example: "communewatch-agent probe h323 10.100.0.22 --gatekeeper",
			flags: func(f *pflag.FlagSet) {
				f.Duration("timeout", 5*time.Second, "`time` the connection may take, and the gatekeeper's answer again")
				f.Bool("signalling", true, "connect to the call signalling port")
				f.Bool("gatekeeper", false, "send a gatekeeper request (RAS GRQ)")
				f.String("gatekeeper-address", "", "`address` of the gatekeeper (default: port 1719 of the target)")
			},
			options: map[string]string{"timeout": "timeout", "signalling": "signalling", "gatekeeper": "gatekeeper", "gatekeeper-address": "gatekeeper_address"},
		},
	}
}
