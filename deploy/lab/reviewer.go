package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/stock/evidence"
	"communewatch/deploy/lab/fleet"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/probes"
)

// catalogueFile is the local rows of the catalogue, in the lab's folder.
const catalogueFile = "catalogue.csv"

// importCatalogue writes the local rows of the catalogue and takes them in, the way an operator does with
// communewatch-collector inventory catalogue import. Doing it again changes nothing.
func (p *Province) importCatalogue(ctx context.Context, reg *registry.Registry) error {
	if len(p.devices) == 0 {
		return nil
	}
	if err := os.WriteFile(filepath.Join(p.cfg.Dir, catalogueFile), fleet.CatalogueFile, 0o600); err != nil {
		return err
	}
	rows, err := catalogue.Read(catalogueFile, fleet.CatalogueFile)
	if err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	list := make([]lifecycle.Row, len(rows))
	for i, r := range rows {
		list[i] = *r
	}
	_, err = reg.Paper().AddCatalogueRows(ctx, list, "communewatch-lab")
	return err
}

// reviewer writes down what people would know of the lab's devices, as soon as the agents have found them: failures and
// quotes, and facts with their documents. It does so the way communewatch-collector inventory ticket and say do, beside
// the running collector.
type reviewer struct {
	reg      *registry.Registry
	sites    []inventory.Site
	waiting  map[string]*fleet.Device // of whom there is something to say, by site and name
	revision int64                    // of the devices that were looked at
	today    inventory.Date
}

func (p *Province) newReviewer(reg *registry.Registry, today inventory.Date) *reviewer {
	r := &reviewer{reg: reg, sites: p.sites, waiting: map[string]*fleet.Device{}, today: today}
	for i := range p.devices {
		d := &p.devices[i]
		site := p.sites[d.Site]
		if len(d.Tickets(site, today))+len(d.Statements(site)) > 0 {
			r.waiting[site.ID+" "+d.Own.Name] = d
		}
	}
	return r
}

// look writes down what there is to say of devices that were found since the last look.
func (r *reviewer) look(ctx context.Context) error {
	store := r.reg.Devices()
	news, err := store.Since(ctx, r.revision)
	if err != nil {
		return err
	}
	for i := range news.Devices {
		found := &news.Devices[i]
		name := ""
		for _, f := range found.Facts {
			if f.Name == probes.FactSysName {
				name = f.Value
			}
		}
		d := r.waiting[found.Site+" "+name]
		if d == nil {
			continue
		}
		delete(r.waiting, found.Site+" "+name)
		if len(found.Tickets)+len(found.Statements) > 0 {
			continue // of an earlier run in this folder
		}
		for _, t := range d.Tickets(r.sites[d.Site], r.today) {
			if _, err := store.AddTicket(ctx, devices.Ticket{Device: found.ID, Day: t.Day, Kind: t.Kind, Cost: t.Cost, Note: t.Note, By: t.By}); err != nil {
				return err
			}
		}
		for _, s := range d.Statements(r.sites[d.Site]) {
			value, err := evidence.Normal(s.Name, s.Value)
			if err != nil {
				return err
			}
			if _, err := store.Say(ctx, devices.Statement{Device: found.ID, Name: s.Name, Value: value, Source: s.Source, By: s.By}); err != nil {
				return err
			}
		}
	}
	r.revision = news.Revision
	return nil
}

const (
	reviewEvery = 5 * time.Second
	reviewFor   = 10 * time.Minute // devices that were not found by then won't be
)

// review looks for devices until something is said of each of them that there is something to say of.
func (l *Lab) review(ctx context.Context) error {
	p := l.province
	cfg, err := p.collectorConfig()
	if err != nil {
		return err
	}
	reg, err := registry.Open(ctx, cfg.RegistryFile(), registry.Options{Log: l.log})
	if err != nil {
		return err
	}
	defer reg.Close()
	ctx, cancel := context.WithTimeout(ctx, reviewFor)
	defer cancel()
	r := p.newReviewer(reg, inventory.DateOf(time.Now()))
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	for len(r.waiting) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}
