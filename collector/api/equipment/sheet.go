package equipment

import (
	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
)

// Sheet is a table of devices, with headings that stay: programs read it too.
func Sheet(rows []stock.Row) *sheet.Sheet {
	s := &sheet.Sheet{Name: "devices"}
	for _, c := range []struct {
		heading string
		kind    sheet.Kind
	}{
		{"id", sheet.Text}, {"site", sheet.Text}, {"site_name", sheet.Text}, {"district", sheet.Text}, {"class", sheet.Text}, {"vendor", sheet.Text},
		{"model", sheet.Text}, {"hardware", sheet.Text}, {"version", sheet.Text}, {"os", sheet.Text}, {"serial", sheet.Text}, {"address", sheet.Text},
		{"last_seen", sheet.Time}, {"phase", sheet.Text}, {"contract", sheet.Text}, {"price_vnd", sheet.Money}, {"in_service", sheet.Date},
		{"warranty_until", sheet.Date}, {"state", sheet.Text}, {"standing", sheet.Text}, {"score", sheet.Number}, {"support_ends", sheet.Date}, {"hardware_ends", sheet.Date}, {"software_ends", sheet.Date},
		{"rule", sheet.Text}, {"reason", sheet.Text}, {"action", sheet.Text}, {"legal", sheet.Text}, {"legal_reason", sheet.Text},
		{"evidence", sheet.Text}, {"completeness_ratio", sheet.Ratio},
	} {
		s.Columns = append(s.Columns, sheet.Column{Heading: c.heading, Kind: c.kind})
	}
	known := func(d inventory.Date) any {
		if d.IsZero() {
			return nil
		}
		return d
	}
	for _, r := range rows {
		var seen, paid any
		if !r.LastSeen.IsZero() {
			seen = r.LastSeen
		}
		if r.Price > 0 {
			paid = r.Price
		}
		s.Rows = append(s.Rows, []any{r.ID, r.Site, r.SiteName, r.District, r.Class, r.Vendor, r.Model, r.Hardware, r.Version, r.OS, r.Serial, r.Address,
			seen, r.Phase, r.Contract, paid, known(r.InService), known(r.WarrantyUntil), string(r.State), string(r.Standing), r.Score, known(r.SupportEnds), known(r.HardwareEnds), known(r.SoftwareEnds),
			r.Rule, r.Reason, string(r.Action), string(r.Legal), r.LegalReason, r.Evidence, r.Completeness})
	}
	return s
}
