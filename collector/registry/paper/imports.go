package paper

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"communewatch/collector/registry/devices"
	"communewatch/inventory"
	"communewatch/inventory/purchases"
)

// ImportResult says what an import of purchases did, or would do.
type ImportResult struct {
	ID                                 int64 // of the import, to undo it; 0: nothing was written
	Phases                             []string
	Added, Changed, Removed, Unchanged int
	RemovedUnits                       []purchases.Purchase // what went, or would go
	Kept                               map[string]int       // by phase, pieces that the list does not have and that stay
	Alike                              map[string]int       // by file, its pieces without a serial that the list's were taken for
}

// Import is one import, or a removal of a phase, as it is kept to be taken back.
type Import struct {
	ID     int64
	File   string // "" for a removal
	Action string // "import", "replace", "remove"
	By     string
	At     time.Time
	Phases []string
	Pieces int       // that it added, changed or removed
	Undone time.Time // zero: in force
}

// maxUnits is how many pieces there may be of all phases: a province with some hundred offices buys some thousands.
const maxUnits = 200_000

// ImportPurchases writes a list down, all or nothing. It adds pieces and updates those that are known, and removes
// nothing: many provinces keep one file per district. What the list leaves empty of a known piece stays too. With dryRun
// it only says what it would do.
func (s *Store) ImportPurchases(ctx context.Context, list []purchases.Purchase, file, by string, dryRun bool) (ImportResult, error) {
	return s.write(ctx, list, Import{File: file, By: by, Action: "import"}, dryRun)
}

// ReplacePurchases is ImportPurchases for a list that holds whole phases: the list's pieces become what it says, and
// pieces of its phases that it does not have are removed.
func (s *Store) ReplacePurchases(ctx context.Context, list []purchases.Purchase, file, by string, dryRun bool) (ImportResult, error) {
	return s.write(ctx, list, Import{File: file, By: by, Action: "replace"}, dryRun)
}

// RemovePhase removes a phase with all its pieces; devices.ErrUnknown when there is none. What people said of which
// device its pieces are is kept for the case that it comes back.
func (s *Store) RemovePhase(ctx context.Context, phase, by string, dryRun bool) (ImportResult, error) {
	return s.write(ctx, nil, Import{By: by, Action: "remove", Phases: []string{phase}}, dryRun)
}

// errDry ends a transaction that was only to be tried.
var errDry = &devices.Mistake{Text: "nothing is written by a dry run"}

// try runs do, and takes back what it did where it is a dry run.
func (s *Store) try(ctx context.Context, doing string, dryRun bool, do func(ctx context.Context, c *devices.Tx) error) error {
	err := s.d.Change(ctx, doing, func(ctx context.Context, c *devices.Tx) error {
		err := do(ctx, c)
		if err == nil && dryRun {
			err = errDry
		}
		return err
	})
	if errors.Is(err, errDry) {
		return nil
	}
	return err
}

func (s *Store) write(ctx context.Context, list []purchases.Purchase, im Import, dryRun bool) (ImportResult, error) {
	if err := errors.Join(devices.CheckText("the file's name", im.File, im.Action == "remove"), devices.CheckText("who does it", im.By, false)); err != nil {
		return ImportResult{}, err
	}
	byPhase := map[string][]purchases.Purchase{}
	for _, u := range list {
		if err := errors.Join(devices.CheckText("the id of a piece", u.ID, false), devices.CheckText("the phase of a piece", u.Phase, false)); err != nil {
			return ImportResult{}, err
		}
		byPhase[u.Phase] = append(byPhase[u.Phase], u)
	}
	if im.Action != "remove" {
		im.Phases = slices.Sorted(maps.Keys(byPhase))
	}
	var result ImportResult
	err := s.try(ctx, im.Action+" purchases", dryRun, func(ctx context.Context, c *devices.Tx) error {
		im.At = s.d.Now()
		w := &writing{ctx: ctx, c: c, im: im, result: ImportResult{Phases: im.Phases, Kept: map[string]int{}, Alike: map[string]int{}}}
		if err := w.all(byPhase); err != nil {
			return err
		}
		result = w.result
		return c.PaperChanged(ctx)
	})
	if err != nil {
		return ImportResult{}, err
	}
	if dryRun {
		result.ID = 0
	}
	return result, nil
}

// writing is an import under way.
type writing struct {
	ctx    context.Context
	c      *devices.Tx
	im     Import
	result ImportResult
}

func (w *writing) all(byPhase map[string][]purchases.Purchase) error {
	phases := map[string]*Phase{}
	for _, name := range w.im.Phases {
		ph, err := phaseOf(w.ctx, w.c, name)
		if err != nil {
			return err
		}
		if ph == nil && w.im.Action == "remove" {
			return devices.ErrUnknown
		}
		phases[name] = ph
	}
	done, err := w.c.ExecContext(w.ctx, "INSERT INTO purchase_imports (file, action, said_by, at_ms, phases) VALUES (?, ?, ?, ?, ?)",
		w.im.File, w.im.Action, w.im.By, devices.Millis(w.im.At), text(phases))
	if err != nil {
		return err
	}
	if w.im.ID, err = done.LastInsertId(); err != nil {
		return err
	}
	w.result.ID = w.im.ID
	for _, name := range w.im.Phases {
		if err := w.phase(name, byPhase[name]); err != nil {
			return err
		}
	}
	total := 0
	if err := devices.Each(w.ctx, w.c, "SELECT count(*) FROM purchase_units", func(r *sql.Rows) error { return r.Scan(&total) }); err != nil {
		return err
	}
	if total > maxUnits {
		return devices.Mistakef("there would be %d pieces, more than %d; is it the right file?", total, maxUnits)
	}
	return nil
}

func (w *writing) phase(name string, list []purchases.Purchase) error {
	before, err := units(w.ctx, w.c, name)
	if err != nil {
		return err
	}
	files, err := filesOf(w.ctx, w.c, name)
	if err != nil {
		return err
	}
	if w.im.Action != "remove" {
		if err := setPhase(w.ctx, w.c, Phase{Name: name, File: w.im.File, Imported: w.im.At, By: w.im.By}); err != nil {
			return err
		}
	}
	known := make(map[string]*purchases.Purchase, len(before))
	for i := range before {
		known[before[i].ID] = &before[i]
	}
	had := w.result
	listed := make(map[string]bool, len(list))
	for _, u := range list {
		old := known[u.ID]
		listed[u.ID] = true
		switch {
		case old == nil:
			w.result.Added++
		case w.im.Action == "import":
			if file := files[u.ID]; u.Serial == "" && file != "" && file != w.im.File {
				w.result.Alike[file]++
			}
			u = update(*old, u)
			fallthrough
		default:
			if alike(*old, u) {
				w.result.Unchanged++
				continue
			}
			w.result.Changed++
		}
		if err := w.put(old, &u); err != nil {
			return err
		}
	}
	for i := range before {
		u := &before[i]
		switch {
		case listed[u.ID]:
		case w.im.Action == "import":
			w.result.Kept[name]++
		default:
			w.result.RemovedUnits = append(w.result.RemovedUnits, *u)
			w.result.Removed++
			if err := w.put(u, nil); err != nil {
				return err
			}
		}
	}
	if w.im.Action == "remove" {
		if _, err := w.c.ExecContext(w.ctx, "DELETE FROM purchase_phases WHERE name = ?", name); err != nil {
			return err
		}
	}
	r := w.result
	return w.c.Audit(w.ctx, devices.Audit{At: w.im.At, By: w.im.By, Action: w.im.Action + " purchases", Object: name, Before: fmt.Sprintf("%d pieces", len(before)),
		After: strings.TrimSpace(fmt.Sprintf("import %d: %d added, %d changed, %d removed, %d left as they are %s", r.ID, r.Added-had.Added, r.Changed-had.Changed,
			r.Removed-had.Removed, r.Kept[name], w.im.File))})
}

// put writes a piece, or removes it, and keeps what it was.
func (w *writing) put(old, u *purchases.Purchase) error {
	before, piece := "", u
	if old != nil {
		before = text(old)
	}
	if u == nil {
		piece = old
		if _, err := w.c.ExecContext(w.ctx, "DELETE FROM purchase_units WHERE id = ?", old.ID); err != nil {
			return err
		}
	} else {
		done, err := w.c.ExecContext(w.ctx, `INSERT INTO purchase_units (id, phase, unit) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET unit = excluded.unit WHERE phase = excluded.phase`, u.ID, u.Phase, text(u))
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, devices.Mistakef("row %d: this piece (%s) is already in another phase; remove it there first", u.Row, u.ID))
		}
	}
	if _, err := w.c.ExecContext(w.ctx, "INSERT INTO purchase_changes (import, unit, phase, before) VALUES (?, ?, ?, ?)", w.im.ID, piece.ID, piece.Phase, before); err != nil {
		return err
	}
	return auditPiece(w.ctx, w.c, w.im, old, u)
}

// auditPiece keeps a piece that was changed or removed whole. What was added is where it can be read.
func auditPiece(ctx context.Context, c *devices.Tx, im Import, old, u *purchases.Purchase) error {
	a := devices.Audit{At: im.At, By: im.By}
	switch {
	case old == nil:
		return nil
	case u == nil:
		a.Action, a.Object, a.Before = "remove piece", old.ID, text(old)
	default:
		a.Action, a.Object, a.Before, a.After = "change piece", old.ID, text(old), text(u)
	}
	return c.Audit(ctx, a)
}

func phaseOf(ctx context.Context, q devices.Querier, name string) (ph *Phase, err error) {
	err = devices.Each(ctx, q, "SELECT file, imported_ms, imported_by FROM purchase_phases WHERE name = ?", func(r *sql.Rows) error {
		var at int64
		ph = &Phase{Name: name}
		err := r.Scan(&ph.File, &at, &ph.By)
		ph.Imported = devices.Time(at)
		return err
	}, name)
	return ph, err
}

func setPhase(ctx context.Context, c *devices.Tx, ph Phase) error {
	_, err := c.ExecContext(ctx, `INSERT INTO purchase_phases (name, file, imported_ms, imported_by) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET file = excluded.file, imported_ms = excluded.imported_ms, imported_by = excluded.imported_by`,
		ph.Name, ph.File, devices.Millis(ph.Imported), ph.By)
	return err
}

// filesOf says which file each piece of a phase was last written from.
func filesOf(ctx context.Context, q devices.Querier, phase string) (map[string]string, error) {
	files := map[string]string{}
	err := devices.Each(ctx, q, `SELECT unit, file FROM purchase_changes c JOIN purchase_imports i ON i.id = c.import
		WHERE c.phase = ? AND undone_ms IS NULL ORDER BY i.id`, func(r *sql.Rows) error {
		var unit, file string
		err := r.Scan(&unit, &file)
		files[unit] = file
		return err
	}, phase)
	return files, err
}

// Imports lists what can be taken back and what was, the newest first.
func (s *Store) Imports(ctx context.Context) ([]Import, error) {
	var out []Import
	err := s.d.Snapshot(ctx, "read imports", func(q devices.Querier) (err error) {
		out, err = imports(ctx, q, 0)
		return err
	})
	return out, err
}

// maxImports bounds a list of imports.
const maxImports = 1000

// imports reads one import, or the newest (0).
func imports(ctx context.Context, q devices.Querier, id int64) ([]Import, error) {
	var out []Import
	err := devices.Each(ctx, q, `SELECT id, file, action, said_by, at_ms, phases, coalesce(undone_ms, 0), (SELECT count(*) FROM purchase_changes WHERE import = id)
		FROM purchase_imports WHERE ?1 = 0 OR id = ?1 ORDER BY id DESC LIMIT ?2`, func(r *sql.Rows) error {
		var im Import
		var at, undone int64
		var phases string
		if err := r.Scan(&im.ID, &im.File, &im.Action, &im.By, &at, &phases, &undone, &im.Pieces); err != nil {
			return err
		}
		im.At, im.Undone = devices.Time(at), devices.Time(undone)
		var before map[string]*Phase
		if err := json.Unmarshal([]byte(phases), &before); err != nil {
			return fmt.Errorf("import %d: %w", im.ID, err)
		}
		im.Phases = slices.Sorted(maps.Keys(before))
		out = append(out, im)
		return nil
	}, id, maxImports)
	return out, err
}

// Undo takes an import or a removal back: what it added is removed, what it changed or removed is as it was. id 0 is
// the newest that is in force. One whose pieces were changed again since is refused until the later one is undone.
func (s *Store) Undo(ctx context.Context, id int64, by string, dryRun bool) (ImportResult, error) {
	if err := devices.CheckText("who undoes it", by, false); err != nil {
		return ImportResult{}, err
	}
	var result ImportResult
	err := s.try(ctx, "undo an import", dryRun, func(ctx context.Context, c *devices.Tx) (err error) {
		if result, err = undo(ctx, c, id, by, s.d.Now()); err != nil {
			return err
		}
		return c.PaperChanged(ctx)
	})
	if err != nil {
		return ImportResult{}, err
	}
	return result, nil
}

func undo(ctx context.Context, c *devices.Tx, id int64, by string, now time.Time) (ImportResult, error) {
	list, err := imports(ctx, c, id)
	if err != nil {
		return ImportResult{}, err
	}
	if id == 0 {
		list = slices.DeleteFunc(list, func(im Import) bool { return !im.Undone.IsZero() })
	}
	switch {
	case len(list) == 0:
		return ImportResult{}, devices.ErrUnknown
	case !list[0].Undone.IsZero():
		return ImportResult{}, devices.Mistakef("import %d was undone on %s already", id, inventory.DateOf(list[0].Undone))
	}
	im := list[0]
	later := int64(0)
	if err := devices.Each(ctx, c, `SELECT coalesce(max(b.import), 0) FROM purchase_changes a JOIN purchase_changes b ON b.unit = a.unit AND b.import > a.import
		JOIN purchase_imports i ON i.id = b.import AND i.undone_ms IS NULL WHERE a.import = ?`, func(r *sql.Rows) error { return r.Scan(&later) }, im.ID); err != nil {
		return ImportResult{}, err
	}
	if later != 0 {
		return ImportResult{}, devices.Mistakef("import %d changed pieces of import %d again; undo %d first", later, im.ID, later)
	}
	if err := undoPhases(ctx, c, im); err != nil {
		return ImportResult{}, err
	}
	result := ImportResult{ID: im.ID, Phases: im.Phases}
	undoing := Import{By: by, At: now}
	type change struct{ unit, phase, before string }
	var changes []change
	if err := devices.Each(ctx, c, "SELECT unit, phase, before FROM purchase_changes WHERE import = ? ORDER BY unit", func(r *sql.Rows) error {
		var ch change
		err := r.Scan(&ch.unit, &ch.phase, &ch.before)
		changes = append(changes, ch)
		return err
	}, im.ID); err != nil {
		return ImportResult{}, err
	}
	there := map[string]purchases.Purchase{}
	for _, phase := range im.Phases {
		list, err := units(ctx, c, phase)
		if err != nil {
			return ImportResult{}, err
		}
		for _, u := range list {
			there[u.ID] = u
		}
	}
	for _, ch := range changes {
		var now, was *purchases.Purchase
		if u, ok := there[ch.unit]; ok {
			now = &u
		}
		if ch.before == "" {
			if _, err := c.ExecContext(ctx, "DELETE FROM purchase_units WHERE id = ?", ch.unit); err != nil {
				return ImportResult{}, err
			}
			result.Removed++
			if now != nil {
				result.RemovedUnits = append(result.RemovedUnits, *now)
			}
		} else {
			was = new(purchases.Purchase)
			if err := json.Unmarshal([]byte(ch.before), was); err != nil {
				return ImportResult{}, fmt.Errorf("piece %s before import %d: %w", ch.unit, im.ID, err)
			}
			if _, err := c.ExecContext(ctx, "INSERT INTO purchase_units (id, phase, unit) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET unit = excluded.unit", ch.unit, ch.phase, ch.before); err != nil {
				return ImportResult{}, err
			}
			if now == nil {
				result.Added++
			} else {
				result.Changed++
			}
		}
		if err := auditPiece(ctx, c, undoing, now, was); err != nil {
			return ImportResult{}, err
		}
	}
	for _, phase := range im.Phases {
		if _, err := c.ExecContext(ctx, "DELETE FROM purchase_phases WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM purchase_units WHERE phase = ?1)", phase); err != nil {
			return ImportResult{}, err
		}
		if err := c.Audit(ctx, devices.Audit{At: now, By: by, Action: "undo import", Object: phase, After: fmt.Sprintf("import %d (%s)", im.ID, strings.TrimSpace(im.Action+" "+im.File))}); err != nil {
			return ImportResult{}, err
		}
	}
	_, err = c.ExecContext(ctx, "UPDATE purchase_imports SET undone_ms = ?, undone_by = ? WHERE id = ?", devices.Millis(now), by, im.ID)
	return result, err
}

// undoPhases makes the phases of an import say again what they said before it, where no later one said something.
func undoPhases(ctx context.Context, c *devices.Tx, im Import) error {
	var before map[string]*Phase
	if err := devices.Each(ctx, c, "SELECT phases FROM purchase_imports WHERE id = ?", func(r *sql.Rows) error {
		var kept string
		if err := r.Scan(&kept); err != nil {
			return err
		}
		return json.Unmarshal([]byte(kept), &before)
	}, im.ID); err != nil {
		return err
	}
	for _, name := range im.Phases {
		was := before[name]
		now, err := phaseOf(ctx, c, name)
		if err != nil {
			return err
		}
		if was != nil && (now == nil || now.Imported.Equal(im.At) && now.By == im.By && now.File == im.File) {
			if err := setPhase(ctx, c, *was); err != nil {
				return err
			}
		}
	}
	return nil
}
