package main

import (
	"time"

	"communewatch/probes"

	"github.com/spf13/pflag"
)

// conferenceKinds are the kinds of probe that look at conference services.
func conferenceKinds() []probeKind {
	return []probeKind{
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
