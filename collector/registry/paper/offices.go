package paper

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"communewatch/collector/registry/devices"
)

// What can be said of an office: how many people norms count there.
const (
	SaysStaff   = "staff"      // all who work there
	SaysLeaders = "leaders"    // of them, leaders and senior posts
	SaysGroup8  = "group_viii" // of them, posts of group VIII of the norm's table, who share printers
)

// Saying is one thing that can be said of an office.
type Saying struct{ Name, Doc string }

// OfficeSayings lists what can be said of an office.
func OfficeSayings() []Saying {
	return []Saying{
		{SaysStaff, "how many people work there, leaders included"},
		{SaysLeaders, "how many of them hold leading or senior posts, as the norms name them"},
		{SaysGroup8, "how many of them are of group VIII of the norms' table, who share printers"},
	}
}

// Office is something that a person said of an office, with the document it rests on.
type Office struct {
	Site   string
	Name   string // one of OfficeSayings
	Value  int    // people
	Source string
	By     string
	At     time.Time
}

// maxStaff bounds what is believed: a commune's office has some dozens.
const maxStaff = 5000

// SayOffice writes down what a person says of an office. All but At are the caller's.
func (s *Store) SayOffice(ctx context.Context, o Office) error {
	var names []string
	known := false
	for _, say := range OfficeSayings() {
		names = append(names, say.Name)
		known = known || say.Name == o.Name
	}
	var name, value error
	if !known {
		name = devices.Mistakef("%.40q can't be said of an office; use one of %s", o.Name, strings.Join(names, ", "))
	}
	if o.Value < 0 || o.Value > maxStaff || o.Value == 0 && o.Name == SaysStaff {
		value = devices.Mistakef("%d is no number of people at an office; write one from 1 to %d, or take back what was said", o.Value, maxStaff)
	}
	if err := errors.Join(name, value, devices.CheckText("the source document", o.Source, false), devices.CheckText("who says it", o.By, false)); err != nil {
		return err
	}
	o.At = s.d.Now()
	return s.d.Change(ctx, "say something of an office", func(ctx context.Context, c *devices.Tx) error {
		there := false
		if err := devices.Each(ctx, c, "SELECT 1 FROM sites WHERE id = ?", func(*sql.Rows) error { there = true; return nil }, o.Site); err != nil {
			return err
		}
		if !there {
			return devices.Mistakef("site %.40q is not in the registry; `communewatch-collector sites list` lists them", o.Site)
		}
		before, err := saidOfOffice(ctx, c, o.Site, o.Name)
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "INSERT INTO site_statements (site, name, value, source, said_by, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
			o.Site, o.Name, strconv.Itoa(o.Value), o.Source, o.By, devices.Millis(o.At)); err != nil {
			return err
		}
		if err := c.Audit(ctx, devices.Audit{At: o.At, By: o.By, Action: "say " + o.Name, Object: o.Site, Before: before, After: fmt.Sprintf("%d (%s)", o.Value, o.Source)}); err != nil {
			return err
		}
		return c.PaperChanged(ctx)
	})
}

// WithdrawOffice takes back what was said of an office; devices.ErrUnknown when nothing was.
func (s *Store) WithdrawOffice(ctx context.Context, site, name, by string) error {
	if err := devices.CheckText("who withdraws it", by, false); err != nil {
		return err
	}
	now := s.d.Now()
	return s.d.Change(ctx, "withdraw something of an office", func(ctx context.Context, c *devices.Tx) error {
		before, err := saidOfOffice(ctx, c, site, name)
		if err != nil {
			return err
		}
		if before == "" {
			return devices.ErrUnknown
		}
		if _, err := c.ExecContext(ctx, "UPDATE site_statements SET withdrawn_ms = ?, withdrawn_by = ? WHERE site = ? AND name = ? AND withdrawn_ms IS NULL",
			devices.Millis(now), by, site, name); err != nil {
			return err
		}
		if err := c.Audit(ctx, devices.Audit{At: now, By: by, Action: "withdraw " + name, Object: site, Before: before}); err != nil {
			return err
		}
		return c.PaperChanged(ctx)
	})
}

func saidOfOffice(ctx context.Context, q devices.Querier, site, name string) (value string, err error) {
	err = devices.Each(ctx, q, "SELECT value FROM site_statements WHERE site = ? AND name = ? AND withdrawn_ms IS NULL ORDER BY id", func(r *sql.Rows) error { return r.Scan(&value) }, site, name)
	return value, err
}

// offices reads what is in force: of each name of an office the newest.
func offices(ctx context.Context, q devices.Querier) ([]Office, error) {
	var out []Office
	err := devices.Each(ctx, q, "SELECT site, name, value, source, said_by, at_ms FROM site_statements WHERE withdrawn_ms IS NULL ORDER BY site, name, id", func(r *sql.Rows) error {
		var o Office
		var at int64
		err := r.Scan(&o.Site, &o.Name, &o.Value, &o.Source, &o.By, &at)
		o.At = devices.Time(at)
		if n := len(out); n > 0 && out[n-1].Site == o.Site && out[n-1].Name == o.Name {
			out = out[:n-1]
		}
		out = append(out, o)
		return err
	})
	return out, err
}
