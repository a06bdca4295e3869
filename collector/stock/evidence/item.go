package evidence

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/purchases"
	"communewatch/probes"
)

// failuresOver is the time over which failures are counted, and for how long a quote is good.
const failuresOver = 365 * 24 * time.Hour

// Item makes the item of a device on a day. readings are those of Readings; bought is its purchase, nil where none is
// known.
func Item(d *devices.Device, readings []Reading, bought *purchases.Purchase, asOf inventory.Date) lifecycle.Item {
	used := map[string]lifecycle.Value{}
	for _, r := range readings {
		if r.Used && r.Value.Confidence >= MinConfidence {
			used[r.Name] = r.Value
		}
	}
	of := func(f probes.FactName) lifecycle.Value { return used[string(f)] }
	it := lifecycle.Item{
		ID: d.ID.String(), Site: d.Site,
		Class: of(probes.FactClass), Vendor: of(probes.FactVendor), Model: of(probes.FactModel), Hardware: of(probes.FactHardware),
		Version: of(probes.FactVersion), Serial: of(probes.FactSerial),
		OS: of(probes.FactOS), OSEdition: of(probes.FactOSEdition), OSRelease: of(probes.FactOSRelease), OSBuild: of(probes.FactOSBuild),
		CPU: of(probes.FactCPU), TPM: of(probes.FactTPM),
		Protocols: protocols(readings), Wifi: used[SaysWifi], Platform: used[SaysPlatform], Isolated: used[SaysIsolated],
		Reachable: tri(used[SaysReachable]), OnlyUplink: tri(used[SaysOnlyUplink]), Service: tri(used[SaysService]),
	}
	if it.Isolated.Text == "no" {
		it.Isolated = lifecycle.Value{}
	}
	if it.Service == lifecycle.Unknown && (it.Class.Text == "videoconference" || it.Class.Text == "conference_server") {
		it.Service = lifecycle.Yes // it is what the conference is held with
	}
	for _, r := range readings {
		if r.Name == SaysFlag {
			it.Flags = append(it.Flags, r.Value)
		}
	}
	if bought != nil {
		fromPurchase(&it, bought)
	}
	fromPeople(&it, used)
	if it.InService.IsZero() {
		if made, err := inventory.ParseDate(of(probes.FactMade).Text); err == nil && !made.IsZero() {
			it.InService, it.InServiceFrom = made, of(probes.FactMade)
		}
	}
	fromTickets(&it, d.Tickets, asOf)
	return it
}

// ledger is a value of a purchase list.
func ledger(u *purchases.Purchase, text string) lifecycle.Value {
	source := u.Phase
	if u.Contract != "" {
		source += ", " + u.Contract
	}
	return lifecycle.Value{Text: text, Method: lifecycle.MethodLedger, Source: source, At: u.Received.Time, Confidence: 0.9}
}

// fromPurchase takes what the purchase list says. What the list calls the thing is taken where no probe could tell.
func fromPurchase(it *lifecycle.Item, u *purchases.Purchase) {
	it.InService = u.Received
	if !u.Received.IsZero() {
		it.InServiceFrom = ledger(u, u.Received.String())
	}
	if it.Price = u.Price; u.Price > 0 {
		it.PriceFrom = ledger(u, strconv.FormatInt(u.Price, 10))
	}
	it.Life, it.WarrantyUntil = u.LifeYears, u.WarrantyUntil
	for _, f := range []struct {
		value *lifecycle.Value
		text  string
	}{{&it.Vendor, u.Vendor}, {&it.Model, u.Model}, {&it.Class, u.Class}, {&it.Serial, u.Serial}} {
		if !f.value.Known() && f.text != "" {
			*f.value = ledger(u, f.text)
		}
	}
}

func fromPeople(it *lifecycle.Item, used map[string]lifecycle.Value) {
	if v := used[SaysInService]; v.Known() {
		if day, err := inventory.ParseDate(v.Text); err == nil {
			it.InService, it.InServiceFrom = day, v
		}
	}
	if v := used[SaysWarrantyUntil]; v.Known() {
		if day, err := inventory.ParseDate(v.Text); err == nil {
			it.WarrantyUntil = day
		}
	}
	for name, into := range map[string]*int64{SaysPrice: &it.Price, SaysReplacePrice: &it.ReplacePrice, SaysEquivalentNew: &it.EquivalentNew} {
		v := used[name]
		n, err := strconv.ParseInt(v.Text, 10, 64)
		if err != nil {
			continue
		}
		*into = n
		if name == SaysPrice {
			it.PriceFrom = v
		}
	}
	if n, err := strconv.Atoi(used[SaysLifeYears].Text); err == nil {
		it.Life = n
	}
}

// fromTickets counts failures in the twelve months before a day, and takes the newest quote for a repair. Who never
// wrote a ticket of a device does not count its failures.
func fromTickets(it *lifecycle.Item, tickets []devices.Ticket, asOf inventory.Date) {
	if len(tickets) == 0 {
		return
	}
	var newest lifecycle.Value
	for _, t := range tickets { // newest first
		age := asOf.Sub(t.Day.Time)
		if age < 0 {
			continue
		}
		v := lifecycle.Value{Text: t.Day.String(), Method: lifecycle.MethodHand, Source: "ticket " + strconv.FormatInt(t.ID, 10), At: t.At, Confidence: 1, By: t.By}
		if !newest.Known() {
			newest = v
		}
		if t.Kind == "failure" && age < failuresOver {
			it.Failures++
		}
		if t.Kind == "quote" && t.Cost > 0 && it.Repair == 0 && age < failuresOver {
			v.Text = strconv.FormatInt(t.Cost, 10)
			if t.Note != "" {
				v.Source += ": " + t.Note
			}
			it.Repair, it.RepairFrom = t.Cost, v
		}
	}
	it.FailuresFrom = newest
}

// protocols is everything that any source saw offered of late: one check looks at other doors than the next.
func protocols(readings []Reading) lifecycle.Value {
	var out lifecycle.Value
	var newest time.Time
	for _, r := range readings {
		if r.Name == string(probes.FactProtocols) && r.Value.At.After(newest) {
			newest = r.Value.At
		}
	}
	var all []string
	for _, r := range readings {
		if r.Name != string(probes.FactProtocols) || newest.Sub(r.Value.At) > believedFor || r.Value.Confidence < MinConfidence {
			continue
		}
		if r.Value.Method == lifecycle.MethodHand && r.Used {
			return r.Value
		}
		all = append(all, strings.Fields(r.Value.Text)...)
		if !out.Known() || r.Value.At.After(out.At) {
			out = r.Value
		}
	}
	if all == nil {
		return lifecycle.Value{}
	}
	slices.Sort(all)
	out.Text = strings.Join(slices.Compact(all), " ")
	return out
}

func tri(v lifecycle.Value) lifecycle.Tri {
	switch v.Text {
	case "yes":
		return lifecycle.Yes
	case "no":
		return lifecycle.No
	}
	return lifecycle.Unknown
}
