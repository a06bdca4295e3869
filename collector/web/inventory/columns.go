package inventory

import (
	"slices"
	"strings"

	"communewatch/collector/stock"
	"communewatch/collector/web/frame"
	"communewatch/inventory/lifecycle/wording"
	"communewatch/inventory/sheet"
)

// column is one column of the table of devices, on screen and in the files made of it.
type column struct {
	key   string // in the address, and the heading's word: "device.KEY"
	kind  sheet.Kind
	shown bool // unless the reader chooses
	value func(v *voice, r *stock.Row) any
}

// voice words values for one reader.
type voice struct {
	frame.Frame
	lang wording.Lang
}

func voiceOf(f frame.Frame) *voice { return &voice{f, wording.Lang(f.Lang)} }

// Class names a class of equipment.
func (v *voice) Class(class string) string {
	if class == "" {
		return ""
	}
	return v.T("class." + class)
}

// Phase names a purchase phase.
func (v *voice) Phase(phase string) string {
	if phase == stock.NoPhase {
		return v.T("inventory.no_phase")
	}
	return phase
}

func columns() []column {
	text := func(key string, shown bool, get func(*stock.Row) string) column {
		return column{key: key, shown: shown, value: func(_ *voice, r *stock.Row) any { return get(r) }}
	}
	worded := func(key string, shown bool, get func(*voice, *stock.Row) string) column {
		return column{key: key, shown: shown, value: func(v *voice, r *stock.Row) any { return get(v, r) }}
	}
	of := func(key string, kind sheet.Kind, shown bool, get func(*stock.Row) any) column {
		return column{key: key, kind: kind, shown: shown, value: func(_ *voice, r *stock.Row) any { return get(r) }}
	}
	return []column{
		text("id", false, func(r *stock.Row) string { return r.ID }),
		text("district", false, func(r *stock.Row) string { return r.District }),
		text("site", true, func(r *stock.Row) string { return r.SiteName }),
		worded("class", true, func(v *voice, r *stock.Row) string { return v.Class(r.Class) }),
		text("vendor", true, func(r *stock.Row) string { return r.Vendor }),
		text("model", true, func(r *stock.Row) string { return r.Model }),
		text("hardware", false, func(r *stock.Row) string { return r.Hardware }),
		text("version", true, func(r *stock.Row) string { return r.Version }),
		text("os", false, func(r *stock.Row) string { return r.OS }),
		text("serial", true, func(r *stock.Row) string { return r.Serial }),
		text("name", false, func(r *stock.Row) string { return r.Name }),
		text("address", false, func(r *stock.Row) string { return r.Address }),
		text("mac", false, func(r *stock.Row) string { return r.MAC }),
		worded("state", true, func(v *voice, r *stock.Row) string { return wording.State(v.lang, r.State) }),
		text("reason", true, func(r *stock.Row) string { return r.Reason }),
		of("support_ends", sheet.Date, true, func(r *stock.Row) any { return r.SupportEnds }),
		worded("legal", true, func(v *voice, r *stock.Row) string { return wording.Legal(v.lang, r.Legal) }),
		text("legal_reason", false, func(r *stock.Row) string { return r.LegalReason }),
		worded("action", true, func(v *voice, r *stock.Row) string { return wording.Action(v.lang, r.Action) }),
		of("score", sheet.Number, true, func(r *stock.Row) any { return r.Score }),
		worded("band", false, func(v *voice, r *stock.Row) string { return wording.Band(v.lang, r.Band) }),
		text("evidence", false, func(r *stock.Row) string { return r.Evidence }),
		of("completeness", sheet.Ratio, false, func(r *stock.Row) any { return r.Completeness }),
		worded("phase", true, func(v *voice, r *stock.Row) string { return v.Phase(r.Phase) }),
		text("contract", false, func(r *stock.Row) string { return r.Contract }),
		of("price", sheet.Money, false, func(r *stock.Row) any { return priced(r.Price) }),
		of("in_service", sheet.Date, false, func(r *stock.Row) any { return r.InService }),
		of("warranty", sheet.Date, false, func(r *stock.Row) any { return r.WarrantyUntil }),
		of("link", sheet.Ratio, false, func(r *stock.Row) any {
			if r.Link == "" {
				return nil
			}
			return r.LinkConfidence
		}),
		of("failures", sheet.Number, false, func(r *stock.Row) any { return r.Failures }),
		of("first_seen", sheet.Time, false, func(r *stock.Row) any { return r.FirstSeen }),
		of("last_seen", sheet.Time, false, func(r *stock.Row) any { return r.LastSeen }),
	}
}

// priced is a price as a cell; nothing where it is not known.
func priced(vnd int64) any {
	if vnd == 0 {
		return nil
	}
	return vnd
}

// chosen returns the columns that an address asks for by their keys, or those that are shown unless somebody chooses.
func chosen(keys []string) []column {
	var asked []string
	for _, k := range keys {
		asked = append(asked, strings.Split(k, ",")...)
	}
	var out, usual []column
	for _, c := range columns() {
		if slices.Contains(asked, c.key) {
			out = append(out, c)
		}
		if c.shown {
			usual = append(usual, c)
		}
	}
	if len(out) == 0 {
		return usual
	}
	return out
}
