package identity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 2, 5, 0, 0, 0, time.UTC)

// facts reads "vendor=Cisco serial=FOC1234X5YZ", all with confidence 0.9; _ stands for a space.
func facts(text string) []Fact {
	var out []Fact
	for _, f := range strings.Fields(text) {
		name, value, _ := strings.Cut(f, "=")
		out = append(out, Fact{name, strings.ReplaceAll(value, "_", " "), 0.9})
	}
	return out
}

// at is a sighting at a place written as "site/agent/check/tag/address".
func at(place string, when time.Time, text string) Sighting {
	p := strings.Split(place, "/")
	return Sighting{Site: p[0], Agent: p[1], Check: p[2], Device: p[3], Address: p[4], At: when, Interval: 10 * time.Minute, Facts: facts(text)}
}

func known(id string, s Sighting) Device { return Device{ID: id}.Learn(s) }

const (
	here     = "s1/a1/snmp-sw/sw/10.1.0.2"
	newAddr  = "s1/a1/lan/k77/10.1.0.77"
	there    = "s2/a2/snmp-sw/sw/10.2.0.2"
	sweep    = "s1/a1/lan/k5/10.1.0.2"
	otherTag = "s1/a1/lan/k6/10.1.0.9"
)

func TestDecide(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		known []Device
		now   Sighting
		want  Decision
	}{
		"nobody known": {nil, at(here, noon, "vendor=Cisco serial=FOC1234X5YZ"), Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"new address, same serial": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ"))},
			at(newAddr, noon.Add(time.Hour), "vendor=CISCO_Systems,_Inc. serial=S/N:foc1234x5yz"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonSerial, AddressedBefore: "10.1.0.2"}},
		"new address, same MAC": {
			[]Device{known("d1", at(here, noon, "mac=00:1b:0c:aa:bb:c1"))},
			at(newAddr, noon.Add(time.Minute), "mac=001B.0CAA.BBC1"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonMAC, AddressedBefore: "10.1.0.2"}},
		"new address, same chassis id": {
			[]Device{known("d1", at(here, noon, "chassis_id=00:1b:0c:aa:bb:c1"))},
			at(newAddr, noon.Add(time.Minute), "chassis_id=0-1b-c-aa-bb-c1"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonChassis, AddressedBefore: "10.1.0.2"}},
		"new address, same engine": {
			[]Device{known("d1", at(here, noon, "vendor=Huawei model=S5720-28P engine_id=800007db03001b0caabbc1"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Huawei model=S5720-28P engine_id=0x800007DB03001B0CAABBC1"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonEngine, AddressedBefore: "10.1.0.2"}},
		"an engine id without a model is not enough": {
			[]Device{known("d1", at(here, noon, "vendor=Huawei engine_id=800007db03001b0caabbc1"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Huawei model=S5720-28P engine_id=800007db03001b0caabbc1"),
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"moved to another site": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ mac=00:1b:0c:aa:bb:c1"))},
			at(there, noon.Add(2*day), "vendor=Cisco serial=FOC1234X5YZ"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonSerial, MovedFrom: "s1", AddressedBefore: "10.1.0.2"}},
		"replaced: another serial at the same place": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco model=C2960 serial=FOC1234X5YZ"))},
			at(here, noon.Add(time.Hour), "vendor=Cisco model=C2960 serial=FOC9999X5YZ"),
			Decision{Kind: KindNew, Reason: ReasonReplaced, Replaces: "d1"}},
		"replaced by one that was elsewhere": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ")), known("d2", at(there, noon, "vendor=Cisco serial=FOC9999X5YZ"))},
			at(here, noon.Add(time.Hour), "vendor=Cisco serial=FOC9999X5YZ"),
			Decision{Kind: KindSame, Device: "d2", Reason: ReasonSerial, MovedFrom: "s2", AddressedBefore: "10.2.0.2", Replaces: "d1"}},
		"replaced: another MAC at the same place": {
			[]Device{known("d1", at(here, noon, "class=pc mac=00:1b:0c:aa:bb:c1"))},
			at(here, noon.Add(time.Hour), "class=pc mac=00:1b:0c:aa:bb:c2"),
			Decision{Kind: KindNew, Reason: ReasonReplaced, Replaces: "d1"}},
		"a switch answers with the MAC of another port": {
			[]Device{known("d1", at(here, noon, "class=switch vendor=Cisco mac=00:1b:0c:aa:bb:c0"))},
			at(sweep, noon.Add(time.Minute), "mac=00:1b:0c:aa:bb:c9 vendor=Cisco"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonAddress}},
		"one serial, two vendors": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco serial=A1234567"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Huawei serial=A1234567"),
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"one serial, no vendor": {
			[]Device{known("d1", at(here, noon, "serial=A1234567"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Huawei serial=A1234567"),
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"junk serial": {
			[]Device{known("d1", at(here, noon, "vendor=Planet serial=0123456789"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Planet serial=0123456789"),
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"a guess is no identity": {
			[]Device{known("d1", at(here, noon, "vendor=Planet serial=A1234567"))},
			Sighting{Site: "s1", Agent: "a1", Check: "lan", Device: "x", Address: "10.1.0.9", At: noon.Add(time.Hour),
				Facts: []Fact{{"vendor", "Planet", 0.9}, {"serial", "A1234567", 0.3}}},
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"duplicate serial, both alive, other MAC": {
			[]Device{known("d1", at(here, noon, "vendor=Planet serial=PL2020A77 mac=00:30:4f:00:11:22"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Planet serial=PL2020A77 mac=00:30:4f:99:11:22"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictSerial, "d1", "PL2020A77", "hardware"}}}},
		"duplicate serial, both alive, in one interval": {
			[]Device{known("d1", at(here, noon, "vendor=Planet serial=PL2020A77"))},
			at(newAddr, noon.Add(30*time.Second), "vendor=Planet serial=PL2020A77"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictSerial, "d1", "PL2020A77", "together"}}}},
		"duplicate serial, other model": {
			[]Device{known("d1", at(here, noon, "vendor=Planet model=GS-4210 serial=PL2020A77"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Planet model=WDAP-1750 serial=PL2020A77"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictSerial, "d1", "PL2020A77", "model"}}}},
		"of two with one serial, the one at its place": {
			[]Device{known("d1", at(here, noon, "vendor=Planet serial=PL2020A77")), known("d2", at(newAddr, noon, "vendor=Planet serial=PL2020A77"))},
			at(newAddr, noon.Add(time.Minute), "vendor=Planet serial=PL2020A77"),
			Decision{Kind: KindSame, Device: "d2", Reason: ReasonSerial, Conflicts: []Conflict{{ConflictSerial, "d1", "PL2020A77", "together"}}}},
		"of two with one serial, neither": {
			[]Device{known("d1", at(here, noon, "vendor=Planet serial=PL2020A77")), known("d2", at(newAddr, noon, "vendor=Planet serial=PL2020A77"))},
			at(otherTag, noon.Add(time.Hour), "vendor=Planet serial=PL2020A77"),
			Decision{Kind: KindAmbiguous, Reason: ReasonManyFit, Candidates: []string{"d1", "d2"}}},
		"one router, two addresses, one chassis": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ chassis_id=00:1b:0c:aa:bb:c1"))},
			at("s1/hub/wan/r/172.16.0.1", noon, "vendor=Cisco serial=FOC1234X5YZ chassis_id=00:1b:0c:aa:bb:c1"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonSerial, AddressedBefore: "10.1.0.2"}},
		"cloned engine id": {
			[]Device{known("d1", at(here, noon, "vendor=Ruijie model=S2910 engine_id=8000131103001b0caabbc1 mac=00:1b:0c:00:00:01"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Ruijie model=S2910 engine_id=8000131103001b0caabbc1 mac=00:1b:0c:00:44:02"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictEngine, "d1", "8000131103001b0caabbc1", "hardware"}}}},
		"cloned engine id, at once": {
			[]Device{known("d1", at(here, noon, "vendor=Ruijie model=S2910 engine_id=8000131103001b0caabbc1"))},
			at(newAddr, noon, "vendor=Ruijie model=S2910 engine_id=8000131103001b0caabbc1"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictEngine, "d1", "8000131103001b0caabbc1", "together"}}}},
		"copied MAC, other serial": {
			[]Device{known("d1", at(here, noon, "vendor=Dell serial=7XK2P13 mac=00:1b:0c:aa:bb:c1"))},
			at(newAddr, noon.Add(time.Hour), "vendor=Dell serial=9ZZ2P13 mac=00:1b:0c:aa:bb:c1"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictMAC, "d1", "00:1b:0c:aa:bb:c1", "serial"}}}},
		"a stack after another member took over": {
			[]Device{known("d1", at(here, noon, "vendor=Cisco serial=FOC1111A1AA,FOC2222B2BB chassis_id=00:1b:0c:aa:bb:c1"))},
			at(here, noon.Add(time.Hour), "vendor=Cisco serial=FOC2222B2BB chassis_id=00:1b:0c:dd:bb:c1"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonSerial}},
		"known by MAC here and by serial there": {
			[]Device{known("d1", at(newAddr, noon, "mac=00:1b:0c:aa:bb:c1")), known("d2", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ"))},
			at(here, noon.Add(time.Hour), "vendor=Cisco serial=FOC1234X5YZ mac=00:1b:0c:aa:bb:c1"),
			Decision{Kind: KindSame, Device: "d2", Reason: ReasonSerial, Joins: []string{"d1"}}},
		"serial before MAC": {
			[]Device{known("d1", at(newAddr, noon, "vendor=Cisco serial=FOC7777X7YZ mac=00:1b:0c:aa:bb:c1")), known("d2", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ"))},
			at(here, noon.Add(time.Hour), "vendor=Cisco serial=FOC1234X5YZ mac=00:1b:0c:aa:bb:c1"),
			Decision{Kind: KindSame, Device: "d2", Reason: ReasonSerial, Conflicts: []Conflict{{ConflictMAC, "d1", "00:1b:0c:aa:bb:c1", "serial"}}}},
		"same place, nothing against it": {
			[]Device{known("d1", at(here, noon, "vendor=TP-Link model=TL-SG1024"))},
			at(here, noon.Add(100*day), "vendor=TP-LINK_Technologies_Co.,_Ltd. model=SG1024"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonPlace}},
		"same place, other vendor": {
			[]Device{known("d1", at(here, noon, "vendor=TP-Link model=TL-SG1024"))},
			at(here, noon.Add(time.Hour), "vendor=Cisco model=SG350"),
			Decision{Kind: KindNew, Reason: ReasonReplaced, Replaces: "d1"}},
		"another check, same address, same make": {
			[]Device{known("d1", at(here, noon, "vendor=Hewlett-Packard model=LaserJet_400 serial=VNB3K12345"))},
			at(sweep, noon.Add(time.Hour), "vendor=HP"),
			Decision{Kind: KindSame, Device: "d1", Reason: ReasonAddress}},
		"another check, same address, months later": {
			[]Device{known("d1", at(here, noon, "vendor=HP model=LaserJet_400 serial=VNB3K12345"))},
			at(sweep, noon.Add(60*day), "vendor=HP"),
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"same address at another site": {
			[]Device{known("d1", at("s1/a1/lan/k1/192.168.1.1", noon, "vendor=DrayTek model=Vigor2926"))},
			at("s2/a2/lan/k1/192.168.1.1", noon, "vendor=DrayTek model=Vigor2926"),
			Decision{Kind: KindNew, Reason: ReasonUnknown}},
		"one MAC at two sites at once": {
			[]Device{known("d1", at(here, noon, "mac=00:1b:0c:aa:bb:c1"))},
			at(there, noon, "mac=00:1b:0c:aa:bb:c1"),
			Decision{Kind: KindNew, Reason: ReasonApart, Conflicts: []Conflict{{ConflictMAC, "d1", "00:1b:0c:aa:bb:c1", "together"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Decide(c.known, c.now)
			if got.Confidence <= 0 || got.Confidence > 1 {
				t.Errorf("confidence %v", got.Confidence)
			}
			got.Confidence = 0
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Better reasons have more confidence.
func TestConfidenceFollowsPrecedence(t *testing.T) {
	last := 1.0
	for _, text := range []string{"vendor=Cisco serial=FOC1234X5YZ", "chassis_id=00:1b:0c:aa:bb:c1", "mac=00:1b:0c:aa:bb:c1",
		"vendor=Cisco model=X1000 engine_id=80000009030000deadbeef42", ""} {
		place := newAddr
		if text == "" {
			place = here
		}
		d := Decide([]Device{known("d1", at(here, noon, text))}, at(place, noon.Add(time.Hour), text))
		if d.Kind != KindSame || d.Confidence >= last {
			t.Errorf("%q: %+v, after %v", text, d, last)
		}
		last = d.Confidence
	}
}

func TestTrustedSerial(t *testing.T) {
	for _, s := range []string{"0123456789", "123456", "1234567890", "None", "N/A", "To be filled by O.E.M.", "Default string",
		"System Serial Number", "0000000000", "FFFFFFFF", "11111111", "XXXXXXXX", "", "1234", "A1", "00000001", "000123456789",
		"9876543210", "Not Specified", "unknown", "không có", "SN: 123456", "121212121212", "ABC123", "..........", "Chassis Serial Number",
		"Serial: 0", strings.Repeat("A1", 40), "100000000", "0xDEADBEEF0"[2:10]} {
		if n := NormalSerial(s); TrustedSerial(n) {
			t.Errorf("%q is trusted as %q", s, n)
		}
	}
	for _, s := range []string{"FOC1234X5YZ", "21980107081234567890"[:20], "7XK2P13", "VNB3K12345", "S/N: 8G1650A0B31C", "6F1E0A1B2C3D/917",
		"CN-0X1234-70821-2BD-00AB", "2102350HLU6TH8000123", "DS-7608NI20160123CCRR", "JAE243400A1", "10023"} {
		if n := NormalSerial(s); !TrustedSerial(n) {
			t.Errorf("%q is not trusted as %q", s, n)
		}
	}
	if a, b := NormalSerial(" s/n: foc-1234 x5yz "), NormalSerial("FOC1234X5YZ"); a != b {
		t.Errorf("%q and %q", a, b)
	}
	if got := NormalSerial("SN12AB34"); got != "SN12AB34" {
		t.Errorf("a serial that begins with SN became %q", got)
	}
}

func TestMAC(t *testing.T) {
	for in, want := range map[string]string{"00:1B:0C:AA:BB:C1": "00:1b:0c:aa:bb:c1", "001b.0caa.bbc1": "00:1b:0c:aa:bb:c1",
		"0:1b:c:aa:bb:c1": "00:1b:0c:aa:bb:c1", "00-1b-0c-aa-bb-c1": "00:1b:0c:aa:bb:c1", "001B0CAABBC1": "00:1b:0c:aa:bb:c1",
		"001b0c-aabbc1": "00:1b:0c:aa:bb:c1", "0x001b0caabbc1": "00:1b:0c:aa:bb:c1", "Gi0/1": "", "": "", "00:1b:0c:aa:bb": "",
		"00:1b:0c:aa:bb:c1:00": "", "0:1:2:3:4:555": "", "00:1b:0c:aa:bb:zz": "", "switch": ""} {
		if got := NormalMAC(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, mac := range []string{"", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:42:ac:11:00:02", "01:00:5e:00:00:01", "00:00:5e:00:01:0a",
		"00:00:0c:07:ac:01", "da:a1:19:00:11:22", "00:11:22:33:44:55", "52:54:00:12:34:56"} {
		if TrustedMAC(mac) {
			t.Errorf("%s is trusted", mac)
		}
	}
	if !TrustedMAC("00:1b:0c:aa:bb:c1") {
		t.Error("a good one is not trusted")
	}
}

func TestEngineID(t *testing.T) {
	for in, want := range map[string]bool{"800007db03001b0caabbc1": true, "80:00:07:DB:03:00:1B:0C:AA:BB:C1": true,
		"800007db03000000000000": false, "80001f8801c0a80101": false, "80001f8880e3a1f2b4c5d6e7f8": true, "0000000000": false,
		"000000090000000000000000": false, "": false, "80": false, "x": false, "800007db0302420a0b0c0d": false} {
		if got := TrustedEngineID(NormalEngineID(in)); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestVendorKey(t *testing.T) {
	for _, same := range [][]string{{"HP", "Hewlett-Packard", "Hewlett Packard Enterprise", "HPE", "Aruba"}, {"Cisco", "Cisco Systems, Inc.", "TANDBERG", "Hãng Cisco"},
		{"TP-Link", "TP-LINK Technologies Co., Ltd.", "tp link"}, {"Poly", "Polycom", "HP Poly"}, {"Hikvision", "Hangzhou Hikvision Digital Technology"},
		{"D-Link", "DLINK Corporation"}, {"Nhà máy Z1", "NHÀ MÁY Z1"}} {
		for _, v := range same {
			if a, b := VendorKey(same[0]), VendorKey(v); a != b || a == "" {
				t.Errorf("%s is %q, %s is %q", same[0], a, v, b)
			}
		}
	}
	if VendorKey("H3C") == VendorKey("HP") || VendorKey("Dell") == VendorKey("D-Link") || VendorKey("") != "" {
		t.Error("different vendors have one key")
	}
}

func TestModelKey(t *testing.T) {
	for _, c := range [][3]string{{"Cisco", "WS-C2960X-24TS-L", "WSC2960X24TSL"}, {"Hewlett-Packard", "HP LaserJet 400", "LASERJET400"}, {"HP", "LaserJet 400", "LASERJET400"},
		{"Polycom", "Poly HDX 7000", "HDX7000"}, {"TP-Link", "TP-LINK TL-SG1024", "TLSG1024"}, {"", "HP LaserJet 400", "HPLASERJET400"}, {"HP", "HPE", "HPE"}, {"HP", "", ""}} {
		if got := ModelKey(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// play lets an index see sightings in an order, as the registry does, and returns which device each became.
func play(sightings []Sighting, order []int) []string {
	x := NewIndex(nil)
	of := make([]string, len(sightings))
	for n, i := range order {
		d := x.Decide(sightings[i])
		id := d.Device
		if d.Kind != KindSame {
			id = fmt.Sprintf("d%02d", n)
		}
		device, ok := x.Device(id)
		if !ok {
			device = Device{ID: id}
		}
		device = device.Learn(sightings[i])
		of[i] = id
		for _, other := range d.Joins {
			joined, _ := x.Device(other)
			device = device.Join(joined)
			x.Remove(other)
			for j := range of {
				if of[j] == other {
					of[j] = id
				}
			}
		}
		x.Put(device)
	}
	return of
}

// Devices with good identifiers are told apart and known again whatever the order in which they are seen.
func TestOrderDoesNotMatterForStrongIdentifiers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var sightings []Sighting
		var truth []int
		for d := range 1 + random.IntN(4) {
			parts := []string{fmt.Sprintf("vendor=Cisco serial=FOC%04dX5YZ", 1000+7*d), fmt.Sprintf("mac=00:1b:0c:%02x:bb:c1", 16+d),
				fmt.Sprintf("chassis_id=00:1b:0d:%02x:bb:c1", 16+d)}
			for n := range 1 + random.IntN(5) {
				text := strings.Join(parts, " ") // the first shows everything, so that what the others show hangs together
				if n > 0 {
					text = parts[random.IntN(3)]
				}
				place := fmt.Sprintf("s1/a1/c%d-%d/t/10.0.%d.%d", d, n, d, n)
				sightings = append(sightings, at(place, noon.Add(time.Duration(len(sightings))*time.Hour), text))
				truth = append(truth, d)
			}
		}
		of := play(sightings, random.Perm(len(sightings)))
		for i := range of {
			for j := range of {
				if (of[i] == of[j]) != (truth[i] == truth[j]) {
					t.Fatalf("round %d: %v became %v", round, truth, of)
				}
			}
		}
	}
}

// Whatever is seen, in whatever order: no device ends with two trustworthy serials that were never seen together.
func TestDifferentSerialsAreNeverMerged(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	for round := range 2000 {
		var sightings []Sighting
		for range 2 + random.IntN(8) {
			place := fmt.Sprintf("s%d/a1/%s/%s/10.0.0.%d", random.IntN(2), pick("c1", "c2"), pick("t1", "t2"), random.IntN(3))
			text := strings.Join([]string{pick("", "serial=FOC1111X5YZ", "serial=FOC2222X5YZ", "serial=None"), pick("", "vendor=Cisco", "vendor=HP"),
				pick("", "mac=00:1b:0c:aa:bb:c1", "mac=00:1b:0c:aa:bb:c9"), pick("", "chassis_id=00:1b:0c:aa:bb:c1"), pick("", "model=X1000"),
				pick("", "engine_id=800007db03001b0caabbc1"), pick("", "name=sw")}, " ")
			sightings = append(sightings, at(place, noon.Add(time.Duration(random.IntN(100))*time.Hour/4), text))
		}
		of := play(sightings, random.Perm(len(sightings)))
		serials := map[string]string{}
		for i, s := range sightings {
			for _, f := range s.Facts {
				if f.Name == "serial" && f.Value != "None" {
					if was := serials[of[i]]; was != "" && was != f.Value {
						t.Fatalf("round %d: %s has the serials %s and %s", round, of[i], was, f.Value)
					}
					serials[of[i]] = f.Value
				}
			}
		}
	}
}

func TestIndexForgets(t *testing.T) {
	d := known("d1", at(here, noon, "vendor=Cisco serial=FOC1234X5YZ"))
	x := NewIndex([]Device{d})
	d.Serials = []string{"FOC9999X5YZ"}
	x.Put(d)
	if got := x.Decide(at(newAddr, noon, "vendor=Cisco serial=FOC1234X5YZ")); got.Kind != KindNew {
		t.Errorf("found by a serial it no longer has: %+v", got)
	}
	x.Remove("d1")
	x.Remove("d1")
	if got := x.Decide(at(here, noon, "vendor=Cisco serial=FOC9999X5YZ")); got.Kind != KindNew || len(x.keys) != 0 {
		t.Errorf("found after it was removed: %+v, %v", got, x.keys)
	}
}

func FuzzDecide(f *testing.F) {
	f.Add("serial=FOC1234X5YZ vendor=Cisco", "serial=foc1234x5yz vendor=cisco mac=00:1b:0c:aa:bb:c1", "10.0.0.1")
	f.Add("mac=0:1b:c:aa:bb:c1 chassis_id=001b.0caa.bbc1", "engine_id=0x800007db03001b0caabbc1", "::ffff:10.0.0.1")
	f.Add("serial=A1,B2;C3\n vendor=\xff", "serial=\x00", "\xff")
	f.Fuzz(func(t *testing.T, a, b, address string) {
		first := Sighting{Site: "s1", Check: "c1", Address: address, At: noon, Facts: facts(a)}
		second := Sighting{Site: "s1", Check: "c2", Address: address, At: noon.Add(time.Hour), Facts: facts(b)}
		d := known("d1", first)
		for _, list := range [][]string{d.Serials, d.MACs, d.ChassisIDs, d.EngineIDs} {
			if !slices.IsSorted(list) || len(list) > maxPerKind {
				t.Fatalf("%q", list)
			}
		}
		got := Decide([]Device{d}, second)
		if e := known("x", second); got.Kind == KindSame && len(d.Serials) > 0 && len(e.Serials) > 0 && common(d.Serials, e.Serials) == "" {
			t.Fatalf("serials %q and %q were taken for one: %+v", d.Serials, e.Serials, got)
		}
		for _, s := range d.Serials {
			if NormalSerial(s) != s {
				t.Fatalf("%q is not normalised for good", s)
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	var devices []Device
	for i := range 10_000 {
		devices = append(devices, known(fmt.Sprint("d", i), at(fmt.Sprintf("s%d/a/c/%d/10.0.0.%d", i/70, i%70, i%70), noon,
			fmt.Sprintf("vendor=Cisco model=X serial=FOC%05dX7YZ mac=00:1b:0c:%02x:%02x:01", i, i/256, i%256))))
	}
	x := NewIndex(devices)
	s := at(newAddr, noon, "vendor=Cisco model=X serial=FOC05555X7YZ mac=00:1b:0c:15:b3:01")
	b.ReportAllocs()
	for b.Loop() {
		if x.Decide(s).Kind != KindSame {
			b.Fatal("not found")
		}
	}
}
