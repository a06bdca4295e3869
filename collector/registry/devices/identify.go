package devices

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"communewatch/inventory/identity"
	"communewatch/probes"
)

// known is what all devices are known again by, kept by the one writer between its transactions. It is brought up to
// date by revisions, so what another process changed is seen; after a transaction that failed it is read anew.
type known struct {
	revision int64
	stamp    int64 // of the transaction that left this behind; another one in the file says that it was undone
	index    *identity.Index
	devices  map[ID]identity.Device
}

// refresh reads what changed since the last transaction.
func (w *seer) refresh(ctx context.Context) error {
	k := w.s.known
	w.s.known = nil // until this transaction is committed
	var revision, stamp int64
	if err := w.query(ctx, "SELECT revision, stamp FROM device_revision", func(r *sql.Rows) error { return r.Scan(&revision, &stamp) }); err != nil {
		return err
	}
	if k == nil || k.stamp != stamp {
		k = &known{index: identity.NewIndex(nil), devices: map[ID]identity.Device{}}
	}
	if revision != k.revision {
		if err := w.query(ctx, "SELECT device FROM device_aliases WHERE revision > ?", func(r *sql.Rows) error {
			var id ID
			err := r.Scan(&id)
			k.index.Remove(id.String())
			delete(k.devices, id)
			return err
		}, k.revision); err != nil {
			return err
		}
		if err := w.query(ctx, "SELECT id, identity FROM devices WHERE revision > ?", func(r *sql.Rows) error {
			var id ID
			var text string
			if err := r.Scan(&id, &text); err != nil {
				return err
			}
			d := identity.Device{}
			if text != "" {
				if err := json.Unmarshal([]byte(text), &d); err != nil {
					return fmt.Errorf("device %v: identity: %w", id, err)
				}
			}
			d.ID = id.String()
			k.put(id, d)
			return nil
		}, k.revision); err != nil {
			return err
		}
		k.revision = revision
	}
	w.known = k
	return nil
}

func (k *known) put(id ID, d identity.Device) {
	k.devices[id] = d
	k.index.Put(d)
}

// keep makes what this transaction learned known to the next one. That one finds out by the stamp whether this one was
// committed, and reads again what it changed.
func (w *seer) keep(ctx context.Context) error {
	w.known.stamp = rand.Int64()
	_, err := w.exec(ctx, "UPDATE device_revision SET stamp = ?", w.known.stamp)
	w.s.known = w.known
	return err
}

// identify says which device a sighting is of, and makes it when nobody knew it; 0: the site has as many as it may.
func (w *seer) identify(ctx context.Context, sg *Sighting, at int64, pasts []past) (ID, error) {
	for _, p := range pasts { // the same run again, or the rest of its rows
		if at == p.first || at == p.last {
			return p.device, w.learn(ctx, p.device, sg)
		}
	}
	seen := identified(sg)
	prior := covering(pasts, at)
	if d, ok := w.known.devices[prior]; ok {
		// A device that several checks see was last seen by another one; for this one, it is here.
		here := d
		here.Site, here.Agent, here.Check, here.Tag = sg.Site, sg.Agent, sg.Target, sg.Key
		w.known.index.Put(here)
		defer func() {
			if d, ok := w.known.devices[prior]; ok {
				w.known.index.Put(d)
			}
		}()
	}
	decision := w.known.index.Decide(seen)
	var id ID
	var err error
	switch decision.Kind {
	case identity.KindSame:
		id, err = ParseID(decision.Device)
		for _, join := range decision.Joins {
			if err != nil {
				break
			}
			var other ID
			if other, err = ParseID(join); err == nil && other != id {
				id, err = w.join(ctx, id, other, at)
			}
		}
	case identity.KindAmbiguous:
		if id = prior; id == 0 || !slices.Contains(decision.Candidates, prior.String()) {
			id, err = w.create(ctx, sg.Site, at)
		}
	default:
		id, err = w.create(ctx, sg.Site, at)
	}
	if err != nil || id == 0 {
		return 0, err
	}
	for _, c := range decision.Candidates {
		if err := w.noteDuplicate(ctx, id, c, string(decision.Reason), at); err != nil {
			return 0, err
		}
	}
	for _, c := range decision.Conflicts {
		if err := w.noteDuplicate(ctx, id, c.Device, string(c.Kind), at); err != nil {
			return 0, err
		}
	}
	return id, w.learn(ctx, id, sg)
}

// identified is a sighting as package identity takes it.
func identified(sg *Sighting) identity.Sighting {
	out := identity.Sighting{Site: sg.Site, Agent: sg.Agent, Check: sg.Target, Device: sg.Key, At: sg.At, Facts: make([]identity.Fact, len(sg.Facts))}
	for i, f := range sg.Facts {
		out.Facts[i] = identity.Fact{Name: string(f.Name), Value: f.Value, Confidence: f.Confidence}
		if f.Name == probes.FactAddress {
			out.Address = f.Value
		}
	}
	return out
}

// learn writes down what a sighting adds to what a device is known by.
func (w *seer) learn(ctx context.Context, id ID, sg *Sighting) error {
	d := w.known.devices[id]
	d.ID = id.String()
	return w.know(ctx, id, d.Learn(identified(sg)))
}

func (w *seer) know(ctx context.Context, id ID, d identity.Device) error {
	if reflect.DeepEqual(w.known.devices[id], d) {
		return nil
	}
	w.known.put(id, d)
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, "UPDATE devices SET identity = ? WHERE id = ?", string(text), int64(id))
	return err
}

func (w *seer) noteDuplicate(ctx context.Context, id ID, other, why string, at int64) error {
	o, err := ParseID(other)
	if err != nil || o == id || w.known.devices[o].ID == "" {
		return err
	}
	_, err = w.exec(ctx, `INSERT INTO device_duplicates (device, other, why, at_ms) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at_ms = max(at_ms, excluded.at_ms)`, int64(min(id, o)), int64(max(id, o)), why, at)
	w.touched[o] = true
	return err
}
