package paper

import (
	"cmp"
	"context"
	"strings"

	"communewatch/inventory/identity"
	"communewatch/inventory/purchases"
)

// ReadList reads a list beside what was imported before; o.Imported is filled in here. A piece that the list has again is
// no double of itself; which those are is known once it is read. replace is as for Again.
func (s *Store) ReadList(ctx context.Context, name string, data []byte, o purchases.Options, replace bool) (purchases.Import, error) {
	known, err := s.Read(ctx)
	if err != nil {
		return purchases.Import{}, err
	}
	list := o.Read(name, data)
	if len(list.Problems) > 0 {
		return list, nil
	}
	var same map[string]string
	o.Imported, same = Again(list.Purchases, known.Units, replace)
	list = o.Read(name, data)
	for i := range list.Purchases {
		u := &list.Purchases[i]
		u.ID = cmp.Or(same[u.ID], u.ID)
	}
	return list, nil
}

// Again compares a list with the pieces that were imported before. others are those that are not the list's: no piece of
// the list may claim a serial of theirs. With whole phases (replace) the list stands for all pieces of its phases. same
// maps the id of a piece to the one that it had while its vendor was not known; everything that was
// said of it stays with it.
func Again(list, known []purchases.Purchase, replace bool) (others []purchases.Purchase, same map[string]string) {
	type key struct{ phase, serial string }
	phases, ids, serials := map[string]bool{}, map[string]bool{}, map[key][]purchases.Purchase{}
	for _, u := range list {
		phases[u.Phase], ids[u.ID] = true, true
		if s := serial(u); s != "" {
			serials[key{u.Phase, s}] = append(serials[key{u.Phase, s}], u)
		}
	}
	knownIDs := map[string]bool{}
	for _, u := range known {
		knownIDs[u.ID] = true
	}
	same = map[string]string{}
	for _, old := range known {
		if ids[old.ID] {
			continue
		}
		found := false
		vendor := identity.VendorKey(old.Vendor)
		for _, u := range serials[key{old.Phase, serial(old)}] {
			if v := identity.VendorKey(u.Vendor); !knownIDs[u.ID] && (v == "" || vendor == "" || v == vendor) && same[u.ID] == "" {
				same[u.ID], found = old.ID, true
				break
			}
		}
		if !found && !(replace && phases[old.Phase]) {
			others = append(others, old)
		}
	}
	return others, same
}

// serial is a piece's serial as it is compared, "" where it identifies nothing.
func serial(u purchases.Purchase) string {
	n := identity.NormalSerial(u.Serial)
	if !identity.TrustedSerial(n) {
		return ""
	}
	return strings.TrimLeft(n, "0")
}

// update is a piece as a list says it; what the list leaves empty stays as it was.
func update(old, u purchases.Purchase) purchases.Purchase {
	u.Contract, u.Decision = cmp.Or(u.Contract, old.Contract), cmp.Or(u.Decision, old.Decision)
	u.Item, u.Model, u.Vendor = cmp.Or(u.Item, old.Item), cmp.Or(u.Model, old.Model), cmp.Or(u.Vendor, old.Vendor)
	u.Serial, u.Site = cmp.Or(u.Serial, old.Serial), cmp.Or(u.Site, old.Site)
	u.User, u.Note = cmp.Or(u.User, old.User), cmp.Or(u.Note, old.Note)
	if u.Class == "" && u.Kind == "" {
		u.Class, u.Kind = old.Class, old.Kind
	}
	if u.Received.IsZero() {
		u.Received, u.Roughly = old.Received, old.Roughly
	}
	u.Price, u.LifeYears = cmp.Or(u.Price, old.Price), cmp.Or(u.LifeYears, old.LifeYears)
	if u.WarrantyMonths == 0 && u.WarrantyUntil.IsZero() {
		u.WarrantyMonths, u.WarrantyUntil = old.WarrantyMonths, old.WarrantyUntil
	}
	return u
}

// alike reports whether two pieces say the same, wherever in a list they stand.
func alike(a, b purchases.Purchase) bool {
	a.Sheet, a.Row, a.N = b.Sheet, b.Row, b.N
	return text(a) == text(b)
}
