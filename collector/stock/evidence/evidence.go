// Package evidence decides which value of a fact is used where several sources say something, and makes of all that is
// known of a device the item that inventory/lifecycle judges. It is pure: the same facts give the same item.
//
// What a person said with a document goes before what was read, since people look at the name plate where probes
// guess. Only what changes by itself, such as a version, is taken from a good reading that is newer. Among readings
// the surest counts, one that is not confirmed any more loses weight from day to day, and of two that agree the more
// exact one is taken: WS-C2960-24TT-L rather than WS-C2960. Nothing is hidden: what was not used stays, and where a
// source of like weight says something else, both are marked as a conflict.
package evidence

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"communewatch/collector/registry/devices"
	"communewatch/inventory/lifecycle"
	"communewatch/probes"
)

// MinConfidence is how sure a reading must be for rules to go by it; below it is shown, and no more.
const MinConfidence = 0.5

const (
	// alike is how near the confidence of another value must be to the used one's for the two to be in conflict.
	alike = 0.25
	// close is how near it must be for the more exact of the two to be used.
	close = 0.1
	// perDay is what a reading loses for every day that the device was seen since without it, to at most agedMost.
	perDay, agedMost = 0.01, 0.3
	// believedFor is for how long what changes by itself is believed without being read again.
	believedFor = 7 * 24 * time.Hour
	// sure is the confidence from which a reading goes before an older word of a person, for what changes by itself.
	sure = 0.8
)

// Reading is one value that one source says of a fact.
type Reading struct {
	Name     string
	Value    lifecycle.Value
	Since    time.Time // when this value was first read
	Sighting int64     // devices.Seen.ID; 0: not read by a check
	Used     bool
	Conflict bool
	weight   float64
}

// Readings returns everything that is said of a device's facts: by fact in the order of probes.FactNames, then what
// people alone say by name; within a fact the used value first.
func Readings(d *devices.Device) []Reading {
	var all []Reading
	for _, f := range d.Facts {
		age := d.Last.Sub(f.To).Hours() / 24
		all = append(all, Reading{
			Name: string(f.Name), Since: f.From, Sighting: f.Sighting,
			Value:  lifecycle.Value{Text: f.Value, Method: MethodOf(f.Source), Source: f.Source, At: f.To, Confidence: f.Confidence},
			weight: f.Confidence - min(agedMost, max(0, age*perDay)),
		})
	}
	for _, st := range d.Statements {
		all = append(all, Reading{
			Name: st.Name, Since: st.At, weight: 2,
			Value: lifecycle.Value{Text: st.Value, Method: lifecycle.MethodHand, Source: st.Source, At: st.At, Confidence: 1, By: st.By},
		})
	}
	place := map[string]int{}
	for i, f := range probes.FactNames() {
		place[string(f)] = i - 1000
	}
	slices.SortStableFunc(all, func(a, b Reading) int {
		return cmp.Or(cmp.Compare(place[a.Name], place[b.Name]), strings.Compare(a.Name, b.Name))
	})
	for begin := 0; begin < len(all); {
		end := begin + 1
		for end < len(all) && all[end].Name == all[begin].Name {
			end++
		}
		choose(all[begin:end])
		begin = end
	}
	return all
}

// choose orders the readings of one fact and marks the used one and conflicts.
func choose(all []Reading) {
	name := all[0].Name
	if volatile(name) {
		for i := range all {
			if all[i].Value.Method != lifecycle.MethodHand {
				continue
			}
			for _, r := range all {
				if r.Value.Method != lifecycle.MethodHand && r.Value.Confidence >= sure && r.Value.At.After(all[i].Value.At) {
					all[i].weight = 0
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Reading) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), b.Value.At.Compare(a.Value.At), strings.Compare(a.Value.Text, b.Value.Text), cmp.Compare(a.Sighting, b.Sighting))
	})
	if all[0].Value.Method != lifecycle.MethodHand && (name == "model" || name == "version") {
		for i, r := range all[1:] {
			if r.weight > all[0].weight-close && len(folded(r.Value.Text)) > len(folded(all[0].Value.Text)) && agree(r.Value.Text, all[0].Value.Text) {
				all = slices.Insert(slices.Delete(all, i+1, i+2), 0, r) // in place: as many as before
				break
			}
		}
	}
	all[0].Used = true
	if !tells(name) {
		return
	}
	for i := range all[1:] {
		r := &all[i+1]
		// A person's word settles a matter; it still shows that a probe reads something else.
		near := r.Value.Confidence >= MinConfidence && (all[0].weight > 1 || r.weight >= all[0].weight-alike)
		if r.Value.Method == lifecycle.MethodHand && all[0].Value.Method == lifecycle.MethodHand {
			continue // an older word of a person
		}
		if volatile(name) && all[0].Value.At.Sub(r.Value.At) > believedFor {
			continue // it was so, then
		}
		if near && !agree(r.Value.Text, all[0].Value.Text) {
			r.Conflict, all[0].Conflict = true, true
		}
	}
}

// volatile reports whether a fact changes without anybody exchanging the device.
func volatile(name string) bool {
	switch probes.FactName(name) {
	case probes.FactVersion, probes.FactOS, probes.FactOSEdition, probes.FactOSRelease, probes.FactOSBuild, probes.FactFirmware,
		probes.FactProtocols, probes.FactAddress, probes.FactSysName, probes.FactLocation, probes.FactDescr, probes.FactRAM, probes.FactDisk,
		probes.FactHTTPServer, probes.FactHTTPTitle, probes.FactSSHBanner, probes.FactSIPAgent:
		return true
	}
	return false
}

// tells reports whether two values of a fact can't both be true.
func tells(name string) bool {
	switch probes.FactName(name) {
	case probes.FactVendor, probes.FactModel, probes.FactVersion, probes.FactSerial, probes.FactClass, probes.FactHardware, probes.FactOS,
		probes.FactOSEdition, probes.FactOSRelease, probes.FactOSBuild, probes.FactTPM, probes.FactCPU:
		return true
	}
	return false
}

// agree reports whether two texts say the same, one of them perhaps more exactly.
func agree(a, b string) bool {
	a, b = folded(a), folded(b)
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}

func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// MethodOf says how a value was read, by the first word of its source.
func MethodOf(source string) lifecycle.Method {
	word, _, _ := strings.Cut(source, " ")
	switch m := lifecycle.Method(strings.ToLower(word)); m {
	case lifecycle.MethodSNMP, lifecycle.MethodHTTP, lifecycle.MethodSSH, lifecycle.MethodSIP, lifecycle.MethodMAC, lifecycle.MethodMachine:
		return m
	case "https", "tls":
		return lifecycle.MethodHTTP
	case "profile": // of what sysObjectID and sysDescr say
		return lifecycle.MethodSNMP
	case "oui", "arp":
		return lifecycle.MethodMAC
	}
	return ""
}
