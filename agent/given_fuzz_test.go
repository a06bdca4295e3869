package agent

import (
	"net/netip"
	"strings"
	"testing"

	"communewatch/probes"
)

// Whatever a document says, work that is taken names no forbidden address, and what is refused shows no secret.
func FuzzWork(f *testing.F) {
	f.Add("checks:\n- {name: c, kind: icmp, address: 10.0.0.1, path: lan}\n")
	f.Add("checks:\n- {name: c, kind: snmp, address: 10.0.0.1, path: lan, options: {community: '${secret:community}'}}\n")
	f.Add("checks:\n- {name: c, kind: webrtc, address: 'https://10.0.0.1/x', path: lan, options: {token_file: /etc/shadow}}\n")
	f.Add("checks:\n- {name: c, kind: http, address: 'http://[::ffff:7f00:1]/', path: lan, options: {headers: {A: '${secret:token}'}}}\n")
	f.Add("paths: {lan: {hop: {ttl: 1, expect: ['::/0']}}}\nmeetings: [{from: '07:00', to: '08:00'}]\ndefaults: {interval: 1h}\nself_interval: 1m\n")
	f.Add("a: &a [*a]\nchecks: *a\n")
	cfg, err := ParseConfig("agent.yaml", []byte("site: s1\nagent: a\nstate_dir: /nowhere\ncollectors: [{url: 'http://127.0.0.1:1', token: x}]\nallow: {addresses: [0.0.0.0/0, '::/0'], kinds: [icmp, tcp, dns, http, snmp, sweep, webrtc, sip, stun, h323, machine]}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document string) {
		next, err := cfg.with(given(1, document))
		if err != nil {
			if strings.Contains(err.Error(), planted) {
				t.Errorf("a secret shows: %v", err)
			}
			return
		}
		for i := range next.Checks {
			c := &next.Checks[i]
			if c.Kind == probes.KindMachine {
				continue
			}
			for _, host := range c.options.Hosts(c.Address) {
				if a, err := netip.ParseAddr(host); err == nil && (a.Unmap().IsLoopback() || a.IsMulticast() || a.Unmap().IsLinkLocalUnicast()) {
					t.Errorf("%s is spoken to", host)
				}
			}
		}
	})
}
