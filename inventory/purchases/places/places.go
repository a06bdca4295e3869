// Package places finds the site that a purchase list means: by id, by code, or by a name that it has or had, written
// with or without accents. A name that several sites have names none of them: the two communes Xuân Hoà and Xuân Hòa
// differ in where the tone mark stands, which depends on the keyboard of who typed it.
package places

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"communewatch/inventory"
)

// Places finds sites by what lists call them.
type Places struct {
	byID   map[string][]inventory.Site
	byCode map[string][]inventory.Site
	byName map[string][]inventory.Site // folded, without "xã" and its like
}

// New returns Places of all rows of the sites, so that a name a site had before is known too.
func New(rows []inventory.Site) *Places {
	p := &Places{byID: map[string][]inventory.Site{}, byCode: map[string][]inventory.Site{}, byName: map[string][]inventory.Site{}}
	for _, s := range rows {
		p.byID[s.ID] = append(p.byID[s.ID], s)
		if s.Code != "" {
			p.byCode[s.Code] = append(p.byCode[s.Code], s)
		}
		whole := inventory.Fold(s.Name)
		p.byName[whole] = append(p.byName[whole], s)
		if bare, _ := bareName(whole); bare != whole && bare != "" {
			p.byName[bare] = append(p.byName[bare], s)
		}
	}
	return p
}

// bareName takes from a folded name what stands before the name itself: the office and the kind of unit.
func bareName(folded string) (name, kind string) {
	name = folded
	for again := true; again; {
		again = false
		for _, office := range []string{"ubnd", "uy ban nhan dan", "hdnd", "hoi dong nhan dan", "dang uy", "van phong", "tru so", "diem cau", "phong hop", "bo phan mot cua"} {
			if rest, ok := strings.CutPrefix(name, office+" "); ok {
				name, again = strings.TrimLeft(rest, "-–&:. "), true
			}
		}
	}
	for _, k := range []struct{ written, kind string }{{"thi tran ", "thi tran"}, {"phuong ", "phuong"}, {"xa ", "xa"}, {"tt. ", "thi tran"}, {"tt ", "thi tran"},
		{"tt.", "thi tran"}, {"p. ", "phuong"}, {"p.", "phuong"}, {"x. ", "xa"}, {"x.", "xa"}} {
		if rest, ok := strings.CutPrefix(name, k.written); ok && rest != "" {
			return strings.TrimSpace(rest), k.kind
		}
	}
	return strings.TrimSpace(name), ""
}

// LooksLikeSite reports whether a text says itself that it names a commune.
func LooksLikeSite(text string) bool {
	_, kind := bareName(inventory.Fold(text))
	return kind != ""
}

// Find returns the id of the site that text names: its id, its code (zeros in front may be lost), or a name that it
// has or had, with or without accents, kind of unit and district. The error tells of none, or of several.
func (p *Places) Find(text, parent string, on inventory.Date) (string, error) {
	if found := p.byID[strings.ToLower(text)]; len(found) > 0 {
		return found[0].ID, nil
	}
	code := text
	if len(code) < 5 && strings.Trim(code, "0123456789") == "" {
		if found := p.byCode[strings.Repeat("0", 5-len(code))+code]; len(p.byCode[code]) == 0 && len(found) > 0 {
			code = strings.Repeat("0", 5-len(code)) + code
		}
	}
	if found := p.byCode[code]; len(found) > 0 {
		return p.one(text, found, "", "", on)
	}
	folded := inventory.Fold(text)
	name, kind := bareName(folded)
	found := p.byName[folded]
	if len(found) == 0 {
		found = p.byName[name]
	}
	if len(found) == 0 { // "Tam Sơn, huyện Sông Lô", "Tam Sơn (Sông Lô)", "Tam Sơn - Sông Lô"
		for _, sep := range []string{",", "(", " - ", " – ", "-"} {
			before, after, ok := strings.Cut(name, sep)
			if !ok {
				continue
			}
			if found = p.byName[strings.TrimSpace(before)]; len(found) > 0 {
				parent = cmp.Or(strings.Trim(after, " )."), parent)
				break
			}
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%s is no site's id, code or name; correct it, or add the site first", inventory.Quote(text))
	}
	return p.one(text, found, kind, parent, on)
}

// one chooses among sites by kind, district and date, in this order.
func (p *Places) one(text string, found []inventory.Site, kind, parent string, on inventory.Date) (string, error) {
	narrow := func(keep func(inventory.Site) bool) {
		var some []inventory.Site
		for _, s := range found {
			if keep(s) {
				some = append(some, s)
			}
		}
		if len(some) > 0 {
			found = some
		}
	}
	parent = inventory.Fold(parent)
	for _, before := range []string{"huyen ", "thanh pho ", "thi xa ", "h. ", "tp. ", "tp ", "tx. ", "h.", "tp."} {
		parent = strings.TrimPrefix(parent, before)
	}
	if kind != "" {
		narrow(func(s inventory.Site) bool { return inventory.Fold(s.Type) == kind })
	}
	if parent != "" {
		narrow(func(s inventory.Site) bool { return inventory.Fold(s.Parent) == parent })
	}
	if !on.IsZero() && several(found) {
		then := map[inventory.Site]bool{}
		for _, s := range inventory.AsOf(p.of(found), on) {
			then[inventory.Site{ID: s.ID, ValidFrom: s.ValidFrom}] = true
		}
		narrow(func(s inventory.Site) bool { return then[inventory.Site{ID: s.ID, ValidFrom: s.ValidFrom}] })
	}
	if !several(found) {
		return found[0].ID, nil
	}
	var candidates []string
	for _, s := range found {
		about := []string{s.ID}
		for _, text := range []string{s.Type, s.Parent} {
			if text != "" {
				about = append(about, text)
			}
		}
		if s.Code != "" {
			about = append(about, "code "+s.Code)
		}
		if c := s.Name + " (" + strings.Join(about, ", ") + ")"; !slices.Contains(candidates, c) {
			candidates = append(candidates, c)
		}
	}
	slices.Sort(candidates)
	return "", fmt.Errorf("%s may be %s; write the id or the code", inventory.Quote(text), strings.Join(candidates, " or "))
}

// of returns all rows of the sites, for their history.
func (p *Places) of(sites []inventory.Site) []inventory.Site {
	var rows []inventory.Site
	seen := map[string]bool{}
	for _, s := range sites {
		if !seen[s.ID] {
			seen[s.ID] = true
			rows = append(rows, p.byID[s.ID]...)
		}
	}
	return rows
}

func several(sites []inventory.Site) bool {
	return slices.ContainsFunc(sites, func(s inventory.Site) bool { return s.ID != sites[0].ID })
}
