// Package inventory knows what the province has: its sites and their dated names. Everything in it is a pure
// function of an item and an as-of date; it opens no file and no database.
package inventory

import (
	"strings"
	"time"
)

// Site is one place with an agent, as it is known on a date.
//
// A site's ID is its own and never changes. Name, Code, Type and Parent are attributes that held from ValidFrom on:
// state codes and names were reused for other units when communes were merged, so neither is an identity.
type Site struct {
	ID         string
	Name       string  // NFC, as written: "Xuân Hòa" and "Xuân Hoà" are two names
	Type       string  // xã, phường, thị trấn; or whatever the province calls it; may be empty
	Code       string  // the state's code; may be empty
	Parent     string  // district or other group, for grouping on screen; may be empty
	ParentCode string  // may be empty
	Position   *LatLon // nil when not known: the site is listed but not on the map
	ValidFrom  Date    // zero: since ever
}

// Title is type and name as people say them, such as "xã Đồng Tâm"; a name that has the type already is enough.
func (s *Site) Title() string {
	if kind, name := Fold(s.Type), Fold(s.Name); kind == "" || name == kind || strings.HasPrefix(name, kind+" ") {
		return s.Name
	}
	return strings.TrimSpace(s.Type + " " + s.Name)
}

// LatLon is a position in degrees, WGS 84.
type LatLon struct{ Lat, Lon float64 }

// Date is a day, as midnight UTC. The zero Date is before every other.
type Date struct{ time.Time }
