package kinds_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/assign/kinds"
	"communewatch/probes"
	"communewatch/probes/dns"
	"communewatch/probes/h323"
	"communewatch/probes/http"
	"communewatch/probes/icmp"
	"communewatch/probes/machine"
	"communewatch/probes/settings"
	"communewatch/probes/sip"
	"communewatch/probes/snmp"
	"communewatch/probes/stun"
	"communewatch/probes/sweep"
	"communewatch/probes/tcp"
	"communewatch/probes/webrtc"
)

// bounded is the options of a kind.
type bounded interface{ Bound() time.Duration }

// What is known here of options is what the probes say themselves.
func TestOptionsAreThoseOfTheProbes(t *testing.T) {
	icmpO, tcpO, dnsO, httpO, snmpO, sweepO := icmp.DefaultOptions(), tcp.DefaultOptions(), dns.DefaultOptions(), http.DefaultOptions(), snmp.DefaultOptions(), sweep.DefaultOptions()
	machineO, webrtcO, sipO, stunO, h323O := machine.DefaultOptions(), webrtc.DefaultOptions(), sip.DefaultOptions(), stun.DefaultOptions(), h323.DefaultOptions()
	tried := 0
	for _, c := range []struct {
		kind    probes.Kind
		options bounded // a pointer
		texts   []string
	}{
		{probes.KindICMP, &icmpO, []string{"count: 20\ninterval: 500ms\nwait: 3s", "df_size_bytes: 1500\nwait: 500ms", "df_size_bytes: 1500"}},
		{probes.KindTCP, &tcpO, []string{"timeout: 9s"}},
		{probes.KindDNS, &dnsO, []string{"resolvers: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]", "resolvers: [{name: a, address: 10.0.0.1}]\ntries: 5\ntimeout: 3s"}},
		{probes.KindHTTP, &httpO, []string{"timeout: 90s"}},
		{probes.KindSNMP, &snmpO, []string{"deadline: 20s\ntimeout: 9s"}},
		{probes.KindSweep, &sweepO, []string{"longest: 2h"}},
		{probes.KindMachine, &machineO, []string{"timeout: 1s"}},
		{probes.KindWebRTC, &webrtcO, []string{"duration: 30s\ntimeout: 5s", "ramp: {enabled: true}", "ramp: {enabled: true, steps_kbps: [500, 700], step: 5s}"}},
		{probes.KindSIP, &sipO, []string{"timeout: 30s"}},
		{probes.KindSTUN, &stunO, []string{"timeout: 30s"}},
		{probes.KindH323, &h323O, []string{"gatekeeper: true", "signalling: false\ngatekeeper: true\ntimeout: 7s"}},
	} {
		tried++
		at := reflect.ValueOf(c.options).Elem()
		var keys []string
		for f := range at.Type().Fields() {
			if key, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); key != "" && key != "-" {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		if known := kinds.Options()[c.kind]; !slices.Equal(keys, known) {
			t.Errorf("%s has the options %v; here are %v", c.kind, keys, known)
		}
		want := 30 * time.Second
		if own, ok := c.options.(interface{ Interval() time.Duration }); ok {
			want = own.Interval()
		}
		if got := kinds.Interval(c.kind); got != want {
			t.Errorf("%s runs every %v; here it is %v", c.kind, want, got)
		}
		defaults := at.Interface()
		for _, text := range append(c.texts, "") {
			at.Set(reflect.ValueOf(defaults))
			if err := settings.Read("o", []byte(text), c.options).Err(); err != nil {
				t.Fatal(c.kind, err)
			}
			var doc struct {
				Options settings.Node `yaml:"options"`
			}
			read := settings.Read("o", []byte("options:\n  "+strings.ReplaceAll(text, "\n", "\n  ")), &doc)
			plain, _ := read.Plain(doc.Options, "options").(map[string]any)
			if got, want := kinds.Longest(c.kind, plain, false), c.options.Bound()+time.Second; got != want {
				t.Errorf("%s with %q may take %v; here it is %v", c.kind, text, want, got)
			}
			if kinds.Longest(c.kind, plain, true) != kinds.Longest(c.kind, plain, false)+3*time.Second {
				t.Error("proving a path takes no time")
			}
		}
	}
	if tried != len(probes.Kinds()) {
		t.Error("there are other kinds: add them here")
	}
}

func TestWhereSecretsMayStand(t *testing.T) {
	for at, want := range map[string]bool{"a.options.community": true, "a.options.v3.auth_key": true, "a.options.token": true, "a.options.headers.X-Key": true, "a.options.address": false,
		"a.options.token.x": false, "headers.x": false} {
		if kinds.SecretPlace(at) != want {
			t.Errorf("%s: %v", at, !want)
		}
	}
	for key, value := range map[string]any{"community_file": "x", "token_env": "x", "ca_file": "x", "rules": "x", "profiles": "/etc"} {
		if !kinds.MachineFile(key, value) {
			t.Errorf("%s may be chosen from afar", key)
		}
	}
	if kinds.MachineFile("profiles", map[string]any{}) || kinds.MachineFile("profile", "720p") || !kinds.Secret("Cookie") {
		t.Error("profiles of calls are no files")
	}
}
