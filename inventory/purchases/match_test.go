package purchases

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bought reads "id site vendor model serial class item", separated by slashes.
func bought(rows ...string) (out []Purchase) {
	for _, row := range rows {
		p := strings.Split(row+"//////", "/")
		out = append(out, Purchase{ID: p[0], Site: p[1], Vendor: p[2], Model: p[3], Serial: p[4], Class: p[5], Item: p[6]})
	}
	return out
}

// found reads "id/site/vendor/model/serial/class".
func found(rows ...string) (out []Device) {
	for _, row := range rows {
		p := strings.Split(row+"//////", "/")
		out = append(out, Device{ID: p[0], Site: p[1], Vendor: p[2], Model: p[3], Serial: p[4], Class: p[5]})
	}
	return out
}

func TestMatch(t *testing.T) {
	for name, c := range map[string]struct {
		bought []Purchase
		found  []Device
		links  []Link
		want   string // pairs, then what is unmatched
	}{
		"serial, at another site": {bought("p1/s1/Cisco/SG350/PSZ2101A1B1"), found("d1/s2/CISCO Systems/SG350-28/psz-2101a1b1"), nil,
			"p1 = d1 (serial, 1.00) moved"},
		"serial with a heading, zeros lost": {bought("p1/s1/HP/M404/S N: 12", "p2/s1/HP/M404/81234567"), found("d1/s1/HP/M404/0081234567"), nil,
			"p2 = d1 (serial, 1.00); bought p1"},
		"serial, vendor unknown": {bought("p1/s1//SG350/PSZ2101A1B1"), found("d1/s1/Cisco/SG350/PSZ2101A1B1"), nil, "p1 = d1 (serial, 1.00)"},
		"same serial, other vendor": {bought("p1/s1/Huawei/S5720/PSZ2101A1B1"), found("d1/s1/Cisco/SG350/PSZ2101A1B1"), nil,
			"; bought p1; found d1"},
		"one serial on two devices": {bought("p1/s1/Planet/GS/PL2020A77"), found("d1/s1/Planet/GS/PL2020A77", "d2/s1/Planet/GS/PL2020A77"), nil,
			"; bought p1; found d1 d2; PL2020A77: p1 = d1 d2"},
		"junk serials are none": {bought("p1/s1/Planet/GS-4210/0123456789"), found("d1/s1/Planet/GS-4210/0123456789"), nil, "p1 = d1 (site_model, 0.80)"},
		"as many as were bought": {bought("p1/s1/HP/LaserJet M404dn", "p2/s1/HP/LaserJet M404dn"), found("d2/s1/HP Inc./HP LaserJet M404DN/VNB3K11111", "d1/s1/HP/LaserJet M404dn"), nil,
			"p1 = d2 (site_model, 0.80); p2 = d1 (site_model, 0.80)"},
		"fewer than were bought": {bought("p1/s1/HP/M404dn", "p2/s1/HP/M404dn", "p3/s1/HP/M404dn"), found("d1/s1/HP/M404dn"), nil,
			"p1 = d1 (site_model, 0.65) 3/1; bought p2 p3"},
		"more than were bought": {bought("p1/s1/HP/M404dn"), found("d1/s1/HP/M404dn", "d2/s1/HP/M404dn"), nil,
			"p1 = d1 (site_model, 0.65) 1/2; found d2"},
		"at another site without a serial": {bought("p1/s1/HP/M404dn"), found("d1/s2/HP/M404dn"), nil, "; bought p1; found d1"},
		"bought for no site":               {bought("p1//HP/M404dn"), found("d1//HP/M404dn"), nil, "; bought p1; found d1"},
		"part of the model":                {bought("p1/s1/Cisco/C2960X"), found("d1/s1/Cisco/WS-C2960X-24TS-L"), nil, "p1 = d1 (site_similar, 0.65)"},
		"the model stands in the item":     {bought("p1/s1////switch/Bộ chuyển mạch Cisco WS-C2960X-24TS-L"), found("d1/s1/Cisco/WS-C2960X-24TS-L"), nil, "p1 = d1 (site_similar, 0.65)"},
		"vendor unknown":                   {bought("p1/s1//M404dn"), found("d1/s1/HP/M404dn"), nil, "p1 = d1 (site_model, 0.75)"},
		"never across vendors":             {bought("p1/s1/Canon/M404dn/"), found("d1/s1/HP/M404dn"), nil, "; bought p1; found d1"},
		"never with another serial":        {bought("p1/s1/HP/M404dn/VNB3K11111"), found("d1/s1/HP/M404dn/VNB3K22222"), nil, "; bought p1; found d1"},
		"never another model":              {bought("p1/s1/HP/M404dn//printer"), found("d1/s1/HP/M507x//printer"), nil, "; bought p1; found d1"},
		"class where no model is known":    {bought("p1/s1/Polycom/HDX 7000//videoconference"), found("d1/s1/Poly///videoconference"), nil, "p1 = d1 (site_class, 0.50)"},
		"class without a vendor":           {bought("p1/s1//HDX 7000//videoconference"), found("d1/s1////videoconference"), nil, "; bought p1; found d1"},
		"who has a serial looks for who has none": {bought("p1/s1/HP/M404dn/VNB3K11111", "p2/s1/HP/M404dn"), found("d1/s1/HP/M404dn/VNB3K22222", "d2/s1/HP/M404dn"), nil,
			"p1 = d2 (site_model, 0.80); p2 = d1 (site_model, 0.80)"},
		"the better likeness first": {bought("p1/s1/Cisco/C2960X", "p2/s1/Cisco/WS-C2960X-24TS-L"), found("d1/s1/Cisco/WS-C2960X-24TS-L"), nil,
			"p2 = d1 (site_model, 0.80); bought p1"},
		"a reviewer knows better": {bought("p1/s1/Cisco/SG350/PSZ2101A1B1", "p2/s1/Cisco/SG350"), found("d1/s1/Cisco/SG350/PSZ2101A1B1", "d2/s9/HP/Other"), []Link{{Purchase: "p1", Device: "d2"}},
			"p1 = d2 (hand, 1.00) moved; p2 = d1 (site_model, 0.65) 2/1"},
		"a reviewer says no": {bought("p1/s1/Cisco/SG350/PSZ2101A1B1"), found("d1/s1/Cisco/SG350/PSZ2101A1B1"), []Link{{Purchase: "p1", Device: "d1", Not: true}},
			"; bought p1; found d1"},
		"links that lost their ends, or contradict": {bought("p1/s1"), found("d1/s1", "d2/s1"), []Link{{Purchase: "p9", Device: "d1"}, {Purchase: "p1", Device: "d2"}, {Purchase: "p1", Device: "d1"}, {Purchase: "p1", Device: "d1"}},
			"p1 = d1 (hand, 1.00); found d2; stale p1-d2 p9-d1"},
		"nothing": {nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := Match(c.bought, c.found, c.links)
			if diff := cmp.Diff(c.want, describe(m)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func describe(m Matching) string {
	var parts, pairs []string
	for _, p := range m.Pairs {
		text := p.String()
		if p.Bought != p.Found {
			text += fmt.Sprintf(" %d/%d", p.Bought, p.Found)
		}
		if p.Moved {
			text += " moved"
		}
		pairs = append(pairs, text)
	}
	parts = append(parts, strings.Join(pairs, "; "))
	if len(m.Purchases) > 0 {
		parts = append(parts, "bought "+strings.Join(m.Purchases, " "))
	}
	if len(m.Devices) > 0 {
		parts = append(parts, "found "+strings.Join(m.Devices, " "))
	}
	for _, a := range m.Ambiguous {
		parts = append(parts, a.Serial+": "+strings.Join(a.Purchases, " ")+" = "+strings.Join(a.Devices, " "))
	}
	if len(m.Stale) > 0 {
		var links []string
		for _, l := range m.Stale {
			links = append(links, l.Purchase+"-"+l.Device)
		}
		parts = append(parts, "stale "+strings.Join(links, " "))
	}
	return strings.Join(parts, "; ")
}

// Whatever there is: everything is matched at most once or listed as unmatched, never across vendors or serials, and
// the order of the arguments does not matter.
func TestMatchingIsOneToOneAndStable(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	pick := func(values ...string) string { return values[random.IntN(len(values))] }
	one := func(id string) string {
		return strings.Join([]string{id, pick("s1", "s1", "s2", ""), pick("Cisco", "HP", "Hewlett-Packard", ""), pick("SG350", "SG350-28", "M404dn", "M404", ""),
			pick("", "", "PSZ2101A1B1", "PSZ2101A1B2", "0PSZ2101A1B2", "None"), pick("switch", "printer", ""), pick("Switch Cisco SG350", "Máy in", "")}, "/")
	}
	paired := 0
	for round := range 3000 {
		var ps, ds []string
		for i := range random.IntN(9) {
			ps = append(ps, one(fmt.Sprint("p", i)))
		}
		for i := range random.IntN(9) {
			ds = append(ds, one(fmt.Sprint("d", i)))
		}
		p, d := bought(ps...), found(ds...)
		var links []Link
		for range random.IntN(3) {
			links = append(links, Link{Purchase: fmt.Sprint("p", random.IntN(10)), Device: fmt.Sprint("d", random.IntN(10)), Not: random.IntN(2) == 0})
		}
		m := Match(p, d, links)
		paired += len(m.Pairs)
		seen := map[string]int{}
		for _, pair := range m.Pairs {
			seen[pair.Purchase]++
			seen[pair.Device]++
			if pair.Confidence < 0.3 || pair.Confidence > 1 || pair.Reason != ReasonHand && pair.Reason != ReasonSerial && pair.Confidence > 0.8 {
				t.Fatalf("round %d: confidence %v", round, pair)
			}
			if pair.Reason == ReasonHand {
				continue
			}
			w := p[slices.IndexFunc(p, func(x Purchase) bool { return x.ID == pair.Purchase })]
			h := d[slices.IndexFunc(d, func(x Device) bool { return x.ID == pair.Device })]
			if may, _ := vendorsAgree(newWanted(w), newHad(h)); !may || serialKey(w.Serial) != "" && serialKey(h.Serial) != "" && serialKey(w.Serial) != serialKey(h.Serial) {
				t.Fatalf("round %d: %+v is not %+v", round, w, h)
			}
			if slices.Contains(links, Link{Purchase: w.ID, Device: h.ID, Not: true}) {
				t.Fatalf("round %d: %v, though a reviewer said no", round, pair)
			}
		}
		for _, id := range slices.Concat(m.Purchases, m.Devices) {
			seen[id]++
		}
		for id, n := range seen {
			if n != 1 {
				t.Fatalf("round %d: %s is there %d times in %s", round, id, n, describe(m))
			}
		}
		if len(seen) != len(p)+len(d) {
			t.Fatalf("round %d: %d of %d are accounted for", round, len(seen), len(p)+len(d))
		}
		random.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
		random.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
		slices.Reverse(links)
		if diff := cmp.Diff(m, Match(p, d, links)); diff != "" {
			t.Fatalf("round %d: another order, another result:\n%s", round, diff)
		}
	}
	if paired < 1500 {
		t.Errorf("only %d pairs: the test tests nothing", paired)
	}
}

func BenchmarkMatch(b *testing.B) {
	var p, d []string
	for i := range 10_000 {
		serial := ""
		if i%2 == 0 {
			serial = fmt.Sprintf("PSZ%08dX", i)
		}
		p = append(p, fmt.Sprintf("p%d/s%d/Cisco/SG%d/%s/switch/Bộ chuyển mạch", i, i%136, 300+i%20, serial))
		d = append(d, fmt.Sprintf("d%d/s%d/Cisco/SG%d/%s/switch", i, i%136, 300+i%20, serial))
	}
	ps, ds := bought(p...), found(d...)
	for b.Loop() {
		if m := Match(ps, ds, nil); len(m.Pairs) < 9_000 {
			b.Fatal(len(m.Pairs))
		}
	}
}
