package fingerprint

import (
	"net"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"communewatch/probes"
)

func builtIn(t testing.TB) *Rules {
	t.Helper()
	r, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// said is what the rules make of a text: "vendor|model|version|class".
func said(r *Rules, in Subject, text string) string {
	found := map[probes.FactName]string{}
	for _, f := range r.apply(in, text, "test") {
		found[f.Name] = f.Value
	}
	return strings.Join([]string{found["vendor"], found["model"], found["version"], found["class"]}, "|")
}

func TestBuiltInRules(t *testing.T) {
	r := builtIn(t)
	for _, tt := range []struct {
		in   Subject
		text string
		want string
	}{
		{SIPAgent, "PolycomRealPresenceGroup500/6.2.2", "Polycom|RealPresence Group 500|6.2.2|videoconference"},
		{SIPAgent, "Polycom HDX 7000 HD (Release - 3.1.14-54104)", "Polycom|HDX 7000 HD|3.1.14-54104|videoconference"},
		{SIPAgent, "PolycomVVX-VVX_411-UA/5.9.5.0614", "Polycom|VVX 411|5.9.5.0614|phone"},
		{SIPAgent, "PolycomRealPresenceTrio-Trio_8800-UA/5.9.5.3182", "Polycom|Trio 8800|5.9.5.3182|videoconference"},
		{SIPAgent, "TANDBERG/529 (ce9.15.0.11.f1a4c19b8ae)", "Cisco||ce9.15.0.11.f1a4c19b8ae|videoconference"},
		{SIPAgent, "TANDBERG/77 (F9.3.1 PAL)", "Tandberg||F9.3.1|videoconference"},
		{SIPAgent, "TANDBERG/4132 (X8.11.4)", "Cisco|Expressway|X8.11.4|conference_server"},
		{SIPAgent, "Yealink SIP-T46S 66.85.0.5", "Yealink|SIP-T46S|66.85.0.5|phone"},
		{SIPAgent, "Yealink VC800 63.345.0.30", "Yealink|VC800|63.345.0.30|videoconference"},
		{SIPAgent, "Cisco-CP8841/12.5.1", "Cisco|CP-8841|12.5.1|phone"},
		{SIPAgent, "Grandstream GXP1625 1.0.4.128", "Grandstream|GXP1625|1.0.4.128|phone"},
		{SIPAgent, "Asterisk PBX 16.2.1", "|||"},
		{HTTPTitle, "RouterOS router configuration page", "MikroTik|||router"},
		{HTTPTitle, "Polycom RealPresence Group 500", "Polycom|RealPresence Group 500||videoconference"},
		{HTTPTitle, "Cisco TelePresence SX20", "Cisco|SX20||videoconference"},
		{HTTPTitle, "Vigor2925", "DrayTek|Vigor2925||router"},
		{HTTPTitle, "Welcome", "|||"},
		{HTTPTitle, "Index of /", "|||"},
		{HTTPTitle, "Login", "|||"},
		{HTTPTitle, "Brother MFC-L5700DN series", "Brother|MFC-L5700DN||printer"},
		{HTTPTitle, "HP LaserJet 400 M401dn   192.168.1.20", "HP|LaserJet 400 M401dn||printer"},
		{HTTPTitle, "office - Synology DiskStation", "Synology|||nas"},
		{HTTPServer, "HP HTTP Server; HP LaserJet 400 M401dn - CF278A; Serial Number: VNC3R12345; Built:Tue Feb 11, 2014", "HP|LaserJet 400 M401dn||printer"},
		{HTTPServer, "Hikvision-Webs", "Hikvision|||"},
		{HTTPServer, "lighttpd/1.4.45", "|||"},
		{HTTPServer, "nginx", "|||"},
		{HTTPServer, "Boa/0.94.14rc21", "|||"},
		{HTTPServer, "GoAhead-Webs", "|||"},
		{HTTPServer, "Microsoft-IIS/10.0", "|||"},
		{HTTPRealm, "TP-LINK Wireless N Router WR841N", "TP-Link|WR841N||"},
		{HTTPRealm, "NETGEAR DGN2200v4", "Netgear|DGN2200v4||"},
		{HTTPRealm, "level_15_or_view_access", "Cisco|||"},
		{HTTPBody, "<h1>RouterOS v6.48.6</h1>", "MikroTik||6.48.6|router"},
		{SSHBanner, "SSH-2.0-ROSSSH", "MikroTik|||router"},
		{SSHBanner, "SSH-2.0-Cisco-1.25", "Cisco|||"},
		{SSHBanner, "SSH-2.0-HUAWEI-1.5", "Huawei|||"},
		{SSHBanner, "SSH-2.0--", "Huawei|||"},
		{SSHBanner, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", "|||"},
		{SSHBanner, "SSH-2.0-dropbear_2019.78", "|||"},
		{FTPBanner, "office FTP server (MikroTik 6.40.8) ready", "MikroTik||6.40.8|router"},
		{TelnetBanner, "MikroTik v6.49.7 (stable) Login:", "MikroTik||6.49.7|router"},
		{TLSSubject, "CN=FGT60E4Q16012345,OU=FortiGate,O=Fortinet,L=Sunnyvale", "Fortinet|||firewall"},
		{TLSSubject, "CN=IOS-Self-Signed-Certificate-1234567890", "Cisco|||"},
		{TLSSubject, "CN=localhost", "|||"},
	} {
		if got := said(r, tt.in, tt.text); got != tt.want {
			t.Errorf("%s %q: got %s, want %s", tt.in, tt.text, got, tt.want)
		}
	}
	for _, f := range r.apply(SSHBanner, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3", "x") {
		if f.Name == probes.FactOS && f.Value != "Debian GNU/Linux 12" {
			t.Errorf("got %q", f.Value)
		}
	}
}

func TestBuiltInRulesAreModest(t *testing.T) {
	names := map[string]bool{}
	for _, list := range builtIn(t).bySubject {
		for _, one := range list {
			if one.Confidence > MaxConfidence {
				t.Errorf("%s: confidence %v", one.Match, one.Confidence)
			}
			key := string(one.In) + one.Match
			if names[key] {
				t.Errorf("%s stands twice", one.Match)
			}
			names[key] = true
		}
	}
	if len(names) < 100 {
		t.Errorf("only %d rules", len(names))
	}
	var none *Rules
	if none.apply(HTTPTitle, "RouterOS", "x") != nil || none.cardMaker(net.HardwareAddr{0, 0x0c, 0x42, 1, 2, 3}) != "" {
		t.Error("no rules know something")
	}
}

func TestCards(t *testing.T) {
	r := builtIn(t)
	for mac, want := range map[string]string{
		"00:0c:42:01:02:03": "MikroTik", "00:e0:db:01:02:03": "Polycom", "00:50:7f:01:02:03": "DrayTek", "00:15:65:01:02:03": "Yealink",
		"00:40:8c:01:02:03": "Axis", "00:11:32:01:02:03": "Synology", "00:09:0f:01:02:03": "Fortinet",
		"02:0c:42:01:02:03": "", "ff:ff:ff:ff:ff:ff": "", "00:00:00:00:00:00": "",
	} {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.cardMaker(hw); got != want {
			t.Errorf("%s: got %q, want %q", mac, got, want)
		}
	}
	for _, bad := range []string{"MikroTik 000c42", "A: 000c4", "A: 000c420", "A: 00zz42", "A: 000c42\nB: 000c42", ": 000c42"} {
		if _, err := parseCards([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "cards.txt:") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestOwnRulesGoFirst(t *testing.T) {
	r, err := Load(fstest.MapFS{"own.yaml": {Data: []byte("rules:\n  - {in: http_title, match: '^Portal of (?P<m>X\\d)$', vendor: Maker, model: '${m}', class: router}\n  - {in: http_title, match: ^RouterOS, vendor: Clone}\n")},
		"readme.txt": {Data: []byte("not a rule")}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"Portal of X7": "Maker|X7||router", "RouterOS router configuration page": "Clone|||", "Vigor2925": "DrayTek|Vigor2925||router"} {
		if got := said(r, HTTPTitle, text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	if r.cardMaker(net.HardwareAddr{0, 0x0c, 0x42, 1, 2, 3}) != "MikroTik" {
		t.Error("the table of cards is lost")
	}
}

func TestBadRulesAreExplained(t *testing.T) {
	_, err := parseRules("bad.yaml", []byte(`rules:
  - {in: favicon, match: x, vendor: A}
  - {in: http_title, match: '(', vendor: A}
  - {in: http_title, match: '.*', vendor: A}
  - {in: http_title, match: x}
  - {in: http_title, match: x, model: M}
  - {in: http_title, match: x, vendor: A, class: toaster}
  - {in: http_title, match: x, vendor: A, confidence: 0.9}
  - {in: http_title, match: x, vendor: A, maker: B}
  - {in: http_title, vendor: A}
`))
	if err == nil {
		t.Fatal("was accepted")
	}
	for _, want := range []string{"bad.yaml:2: rules[0].in", "bad.yaml:3: rules[1].match: error parsing regexp", "bad.yaml:4: rules[2].match: fits anything",
		"bad.yaml:5: rules[3]: says nothing", "bad.yaml:6: rules[4].model: needs a vendor", "bad.yaml:7: rules[5].class", "bad.yaml:8: rules[6].confidence",
		"bad.yaml:9: rules[7].maker: unknown key", "bad.yaml:10: rules[8].match: must be a regular expression"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in:\n%v", want, err)
		}
	}
}

func TestMerge(t *testing.T) {
	fact := func(name probes.FactName, value, source string, c float64) probes.Fact {
		return probes.Fact{Name: name, Value: value, Source: source, Confidence: c}
	}
	snmp := []probes.Fact{fact("vendor", "HP", "snmp a", 0.9), fact("protocols", "snmpv2c", "snmp", 1), fact("version", "5", "snmp b", 0.6)}
	web := []probes.Fact{fact("vendor", "Canon", "http title", 0.6), fact("model", "LBP100", "http title", 0.6), fact("protocols", "http tls1.2", "ports", 0.95),
		fact("version", "6", "http server", 0.6), fact("model", "LaserJet 5", "http server", 0.5), fact("vendor", "hp", "http server", 0.5)}
	merged := Merge(snmp, web, web)
	var names []string
	for _, f := range merged {
		names = append(names, string(f.Name)+"="+f.Value)
	}
	if got, want := strings.Join(names, " "), "vendor=HP vendor=Canon vendor=hp model=LaserJet 5 model=LBP100 version=5 version=6 protocols=http snmpv2c tls1.2"; got != want {
		t.Errorf("merged\n%s\nwant\n%s", got, want)
	}
	best := Best(merged)
	got := map[probes.FactName]probes.Fact{}
	for _, f := range best {
		if _, twice := got[f.Name]; twice {
			t.Errorf("%s twice", f.Name)
		}
		got[f.Name] = f
	}
	if got["model"].Value != "LaserJet 5" || got["vendor"].Source != "snmp a; http server" || got["version"].Value != "5" {
		t.Errorf("best: %+v", best)
	}
	// Where the only model is another maker's, there is none.
	for _, f := range Best(Merge(snmp, web[:2])) {
		if f.Name == "model" {
			t.Errorf("HP %s", f.Value)
		}
	}
	if out := Merge(nil); len(out) != 0 || len(Best(nil)) != 0 {
		t.Error("something came of nothing")
	}
	if !slices.Equal(Merge(merged), merged) {
		t.Error("merging again changes something")
	}
}
