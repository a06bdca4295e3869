package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/registry/record"
	"communewatch/inventory"
	"communewatch/probes"
)

// ImportResult says what an import did, or would do.
type ImportResult struct {
	Added     []inventory.Site // new sites, or new dates of known ones
	Changed   []SiteChange
	Unchanged int
	Missing   []inventory.Site // in the registry but not in the list, as last known; they are left alone
}

// SiteChange is a site's attributes of one date before and after an import.
type SiteChange struct{ Before, After inventory.Site }

// Sites returns the sites as they are known on the day that asOf falls on (in asOf's own location), by ID.
func (r *Registry) Sites(ctx context.Context, asOf time.Time) ([]inventory.Site, error) {
	all, err := readSites(ctx, r.read, "")
	if err != nil {
		return nil, r.fail("read sites", err)
	}
	return inventory.AsOf(all, inventory.DateOf(asOf)), nil
}

// SiteNames returns all that was and will be known of a site, by rising ValidFrom; nothing for an unknown site.
func (r *Registry) SiteNames(ctx context.Context, id string) ([]inventory.Site, error) {
	rows, err := readSites(ctx, r.read, id)
	if err != nil {
		return nil, r.fail("read sites", err)
	}
	return rows, nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readSites reads all dated rows, of one site or of all (""), by ID and date.
func readSites(ctx context.Context, q querier, id string) ([]inventory.Site, error) {
	rows, err := q.QueryContext(ctx, `SELECT site, valid_from, name, type, code, parent, parent_code, lat, lon
		FROM site_attributes WHERE ?1 = '' OR site = ?1 ORDER BY site, valid_from`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []inventory.Site
	for rows.Next() {
		var s inventory.Site
		var from string
		var lat, lon sql.NullFloat64
		if err := rows.Scan(&s.ID, &from, &s.Name, &s.Type, &s.Code, &s.Parent, &s.ParentCode, &lat, &lon); err != nil {
			return nil, err
		}
		if s.ValidFrom, err = inventory.ParseDate(from); err != nil {
			return nil, err
		}
		if lat.Valid && lon.Valid {
			s.Position = &inventory.LatLon{Lat: lat.Float64, Lon: lon.Float64}
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// ImportSites adds the sites to the registry and updates those it knows, by ID and ValidFrom, all or nothing. It
// never removes one: a site that is missing from the list is reported, and keeps its measurements. With dryRun it
// only says what it would do.
func (r *Registry) ImportSites(ctx context.Context, sites []inventory.Site, dryRun bool) (ImportResult, error) {
	if err := checkSites(sites); err != nil {
		return ImportResult{}, err
	}
	if dryRun {
		known, err := readSites(ctx, r.read, "")
		if err != nil {
			return ImportResult{}, r.fail("read sites", err)
		}
		return compare(known, sites), nil
	}
	var result ImportResult
	by, now := record.Behind(ctx), r.now()
	err := r.write(ctx, "import sites", func(ctx context.Context, c *sql.Conn) error {
		known, err := readSites(ctx, c, "")
		if err != nil {
			return err
		}
		result = compare(known, sites)
		write := slices.Clone(result.Added)
		for _, ch := range result.Changed {
			write = append(write, ch.After)
			if err := by.Add(ctx, c, now, audit.Entry{Act: "site.change", What: ch.After.ID, Detail: record.Changed(told(ch.Before), told(ch.After)), OK: true}); err != nil {
				return err
			}
		}
		for _, s := range result.Added {
			if err := by.Add(ctx, c, now, audit.Entry{Act: "site.add", What: s.ID, Detail: told(s), OK: true}); err != nil {
				return err
			}
		}
		return writeSites(ctx, c, write)
	})
	if err != nil {
		return ImportResult{}, err // and don't touch result: if ctx has ended, the writer may still be at it
	}
	return result, nil
}

// told is a site for the record. Who sees it is decided by its district.
func told(s inventory.Site) string {
	at := ""
	if s.Position != nil {
		at = fmt.Sprint(s.Position.Lat, " ", s.Position.Lon)
	}
	return record.Detail("name", s.Name, "type", s.Type, "code", s.Code, "district", s.Parent, "district code", s.ParentCode, "at", at, "from", s.ValidFrom.String())
}

type siteKey struct{ id, from string }

func checkSites(sites []inventory.Site) error {
	var errs []error
	seen := make(map[siteKey]bool, len(sites))
	for _, s := range sites {
		key := siteKey{s.ID, s.ValidFrom.String()}
		if err := probes.CheckName(s.ID); err != nil {
			errs = append(errs, fmt.Errorf("site id: %w", err))
		}
		if s.Name == "" {
			errs = append(errs, fmt.Errorf("site %s has no name", s.ID))
		}
		if seen[key] {
			errs = append(errs, fmt.Errorf("site %s is listed twice for the same date", s.ID))
		}
		seen[key] = true
	}
	return errors.Join(errs...)
}

// compare says what importing list would do. known is by ID and date.
func compare(known, list []inventory.Site) ImportResult {
	before := make(map[siteKey]inventory.Site, len(known))
	last := make(map[string]inventory.Site, len(known))
	for _, s := range known {
		before[siteKey{s.ID, s.ValidFrom.String()}] = s
		last[s.ID] = s
	}
	var result ImportResult
	for _, s := range list {
		old, found := before[siteKey{s.ID, s.ValidFrom.String()}]
		switch {
		case !found:
			result.Added = append(result.Added, s)
		case !same(old, s):
			result.Changed = append(result.Changed, SiteChange{Before: old, After: s})
		default:
			result.Unchanged++
		}
		delete(last, s.ID)
	}
	for i, s := range known {
		if newest, left := last[s.ID]; left && (i+1 == len(known) || known[i+1].ID != s.ID) {
			result.Missing = append(result.Missing, newest)
		}
	}
	return result
}

func same(a, b inventory.Site) bool {
	if (a.Position == nil) != (b.Position == nil) || a.Position != nil && *a.Position != *b.Position {
		return false
	}
	a.Position, b.Position = nil, nil
	a.ValidFrom, b.ValidFrom = inventory.Date{}, inventory.Date{}
	return a == b
}

func writeSites(ctx context.Context, c *sql.Conn, sites []inventory.Site) error {
	identity, err := c.PrepareContext(ctx, "INSERT INTO sites (id) VALUES (?) ON CONFLICT DO NOTHING")
	if err != nil {
		return err
	}
	defer identity.Close()
	attributes, err := c.PrepareContext(ctx, `INSERT INTO site_attributes
		(site, valid_from, name, type, code, parent, parent_code, lat, lon) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (site, valid_from) DO UPDATE SET name = excluded.name, type = excluded.type, code = excluded.code,
		parent = excluded.parent, parent_code = excluded.parent_code, lat = excluded.lat, lon = excluded.lon`)
	if err != nil {
		return err
	}
	defer attributes.Close()
	for _, s := range sites {
		var lat, lon any
		if s.Position != nil {
			lat, lon = s.Position.Lat, s.Position.Lon
		}
		if _, err := identity.ExecContext(ctx, s.ID); err != nil {
			return err
		}
		if _, err := attributes.ExecContext(ctx, s.ID, s.ValidFrom.String(), s.Name, s.Type, s.Code, s.Parent, s.ParentCode, lat, lon); err != nil {
			return err
		}
	}
	return nil
}
