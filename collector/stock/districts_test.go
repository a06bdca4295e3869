package stock_test

import (
	"errors"
	"testing"

	"communewatch/collector/people"
	"communewatch/collector/stock"
)

// Who sees one district sees its devices, and no others by any question.
func TestDistricts(t *testing.T) {
	h := open(t)
	h.see("s1", "mac 1", now, "serial=AAA111", "vendor=Cisco", "model=WS-C2960")
	h.see("s2", "mac 2", now, "serial=BBB222", "vendor=HP", "model=1920")
	ctx := people.With(t.Context(), people.Caller{Name: "hung", Role: people.RoleProcurement, Districts: []string{"Vĩnh Yên"}})
	all := h.table(stock.Filter{})
	rows, err := h.stock.Table(ctx, stock.Query{})
	if err != nil || len(all) != 2 || len(rows) != 1 || rows[0].Site != "s1" {
		t.Fatalf("%d of %d: %v", len(rows), len(all), err)
	}
	if rows, err := h.stock.Table(ctx, stock.Query{Filter: stock.Filter{District: "Sông Lô"}}); err != nil || len(rows) != 0 {
		t.Error(rows, err)
	}
	for _, row := range all {
		_, err := h.stock.Device(ctx, row.ID, stock.Query{})
		if mine := row.Site == "s1"; mine != (err == nil) || !mine && !errors.Is(err, stock.ErrNoDevice) {
			t.Errorf("device of %s: %v", row.Site, err)
		}
	}
	if c, err := h.stock.Choices(ctx); err != nil || len(c.Sites) != 1 || len(c.Districts) != 1 {
		t.Errorf("%+v %v", c, err)
	}
	if s, err := h.stock.Summary(ctx, stock.Query{}); err != nil || s.Total.Devices != 1 {
		t.Errorf("%+v %v", s, err)
	}
	if len(h.table(stock.Filter{})) != 2 {
		t.Error("what one may not see was taken from all")
	}
}
