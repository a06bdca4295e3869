package poll

import (
	"math"
	"strings"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
)

// Tables of a printer: HOST-RESOURCES-MIB, Printer-MIB (RFC 3805).
const (
	hrPrinterTable ask.OID = "1.3.6.1.2.1.25.3.5.1"
	prtLifeCount   ask.OID = "1.3.6.1.2.1.43.10.2.1.4"
	prtSupplies    ask.OID = "1.3.6.1.2.1.43.11.1.1"
	prtSeverity    ask.OID = "1.3.6.1.2.1.43.18.1.1.2"
)

// printerTrouble names the bits of hrPrinterDetectedErrorState, the highest of the first byte first.
func printerTrouble() []string {
	return []string{"low paper", "no paper", "low toner", "no toner", "door open", "jammed", "offline", "service requested",
		"input tray missing", "output tray missing", "marker supply missing", "output near full", "output full",
		"input tray empty", "overdue prevent maint"}
}

// printer reads a printer, if the device is one.
func (r *reader) printer() []probes.Point {
	state := r.walk("hrPrinterTable", hrPrinterTable, 2)
	pages := r.column("prtMarkerTable", prtLifeCount)
	if len(state.indexes) == 0 && len(pages.indexes) == 0 {
		return nil
	}
	if len(pages.indexes) == 0 && !r.state.has[prtLifeCount] {
		// A PC has a printer table as well, of the printers installed on it. They are not this device.
		return nil
	}
	p := probes.Point{Measurement: "snmp_printer"}
	if len(state.indexes) > 0 {
		index := state.indexes[0]
		if n, ok := state.at("1", index).Uint(); ok && n >= 1 && n <= 5 {
			p.Fields = append(p.Fields, probes.String("status", [...]string{1: "other", 2: "unknown", 3: "idle", 4: "printing", 5: "warmup"}[n]))
		}
		var trouble []string
		for bit, name := range printerTrouble() {
			if b := state.at("2", index).Bytes; bit/8 < len(b) && b[bit/8]&(0x80>>(bit%8)) != 0 {
				trouble = append(trouble, name)
			}
		}
		add(&p, len(trouble) > 0, probes.String("trouble", strings.Join(trouble, ", ")))
	}
	count, counted := uint64(0), false
	for _, v := range pages.cells[""] { // several markers count the same sheets
		if n, ok := v.Uint(); ok && n < 1<<31 {
			count, counted = max(count, n), true
		}
	}
	add(&p, counted, probes.Int("pages", int64(count)))
	r.supplies(&p)
	if alerts := r.column("prtAlertTable", prtSeverity); !alerts.partial && r.lost == nil {
		critical := 0
		for _, v := range alerts.cells[""] {
			if n, ok := v.Uint(); ok && n == 3 {
				critical++
			}
		}
		p.Fields = append(p.Fields, probes.Int("alerts", int64(critical)))
	}
	return []probes.Point{p}
}

// supplies looks for the supply nearest to its end. Negative levels are words: "some is left", "unknown".
func (r *reader) supplies(p *probes.Point) {
	const receptacle = 4 // it fills up: waste toner
	t := r.walk("prtMarkerSuppliesTable", prtSupplies, 9)
	lowest, name := math.NaN(), ""
	for _, index := range t.indexes {
		most, ok := t.at("8", index).Int()
		level, ok2 := t.at("9", index).Int()
		if !ok || !ok2 || most <= 0 || level < 0 || level > most {
			continue
		}
		left := float64(level) / float64(most)
		if class, _ := t.at("4", index).Uint(); class == receptacle {
			left = 1 - left
		}
		if math.IsNaN(lowest) || left < lowest {
			lowest, name = left, t.at("6", index).Text()
		}
	}
	add(p, !math.IsNaN(lowest), probes.Float("supply_lowest_ratio", lowest))
	add(p, !math.IsNaN(lowest) && name != "", probes.String("supply_lowest", name))
}
