package plans

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/assign/values"
	"communewatch/collector/registry/work"
	"communewatch/probes"
)

// Apply makes a draft the current version. It returns a *Refused where the draft has problems, work.ErrOvertaken where the
// plan is no longer the draft's Base, and with done false the current version where the draft changes nothing.
func (s *Service) Apply(ctx context.Context, d Draft) (v work.Version, done bool, err error) {
	c, err := may(ctx)
	if err != nil {
		return v, false, err
	}
	if err := checkNote(d.Note); err != nil {
		return v, false, err
	}
	p, err := s.preview(ctx, d)
	if err != nil {
		return v, false, err
	}
	if len(p.Problems) > 0 {
		return v, false, &Refused{Problems: p.Problems}
	}
	base := p.Base // what it was checked against
	if d.Base >= 0 && d.Base != base {
		return v, false, fmt.Errorf("%w (it is version %d now, and was %d)", work.ErrOvertaken, base, d.Base)
	}
	return s.keep(ctx, p, work.Version{By: c.Who(), Note: d.Note, Plan: p.draft.plan, Values: p.draft.values}, "work.apply")
}

// Rollback makes an old version's texts the current ones: a new version, which gives every agent that was there then what
// it had then.
func (s *Service) Rollback(ctx context.Context, id int, note string) (v work.Version, done bool, err error) {
	c, err := may(ctx)
	if err != nil {
		return v, false, err
	}
	if err := checkNote(note); err != nil {
		return v, false, err
	}
	p, old, err := s.back(ctx, id)
	if err != nil {
		return v, false, err
	}
	if len(p.Problems) > 0 {
		return v, false, &Refused{Problems: p.Problems}
	}
	return s.keep(ctx, p, work.Version{By: c.Who(), Note: note, Plan: old.Plan, Values: old.Values, Restores: id}, "work.rollback")
}

// PreviewRollback says what going back to a version would do.
func (s *Service) PreviewRollback(ctx context.Context, id int) (*Preview, error) {
	c, err := looks(ctx)
	if err != nil {
		return nil, err
	}
	p, _, err := s.back(ctx, id)
	if err != nil {
		return nil, err
	}
	if !c.Everywhere() {
		return p, s.narrow(ctx, c, p)
	}
	return p, nil
}

func (s *Service) back(ctx context.Context, id int) (*Preview, work.Version, error) {
	old, err := s.o.Store.Version(ctx, id)
	if err != nil {
		return nil, old, err
	}
	table, err := values.ParseTable(old.Values)
	if err != nil {
		return nil, old, err
	}
	p, err := s.preview(ctx, Draft{Name: fmt.Sprintf("version %d of the plan", id), Plan: &old.Plan, Values: table, Whole: true, Base: -1})
	return p, old, err
}

// keep keeps a version that was checked, writes down who did it, and tells whose work has changed.
func (s *Service) keep(ctx context.Context, p *Preview, v work.Version, act string) (work.Version, bool, error) {
	v, done, err := s.o.Store.Add(ctx, v, p.Base)
	if err != nil || !done {
		return v, false, err
	}
	s.poke()
	detail := fmt.Sprintf("%d agents change, %d stay as they are", len(p.Agents), p.Same)
	if v.Restores > 0 {
		detail = fmt.Sprintf("back to version %d; %s", v.Restores, detail)
	}
	if v.Note != "" {
		detail += "; " + v.Note
	}
	s.o.Log.Info("the fleet's plan was changed", "version", v.ID, "by", v.By, "agents_changed", len(p.Agents))
	return v, true, s.record(ctx, act, fmt.Sprintf("version %d", v.ID), detail, true)
}

const maxNote = 1000 // characters

func checkNote(note string) error {
	if !utf8.ValidString(note) || utf8.RuneCountInString(note) > maxNote || strings.ContainsFunc(note, func(c rune) bool { return unicode.IsControl(c) && c != '\n' }) {
		return fmt.Errorf("note: use at most %d characters of plain text", maxNote)
	}
	return nil
}

// Values returns what sites have, as people's lists said it last.
func (s *Service) Values(ctx context.Context) (values.Table, error) {
	caller, err := looks(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.current(ctx)
	if err != nil || caller.Everywhere() {
		return c.values, err
	}
	sites, err := s.o.Sites(ctx, s.o.Now().In(s.o.Zone))
	if err != nil {
		return nil, err
	}
	seen := values.Table{}
	for _, site := range sites {
		if values, ok := c.values[site.ID]; ok && caller.Sees(site.Parent) {
			seen[site.ID] = values
		}
	}
	return seen, nil
}

// Declared returns the values that the current plan declares, and the secrets that its checks may name.
func (s *Service) Declared(ctx context.Context) (map[string]values.Value, []string, error) {
	if _, err := looks(ctx); err != nil {
		return nil, nil, err
	}
	c, err := s.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	if c.plan == nil {
		return nil, nil, ErrNoPlan
	}
	return c.plan.Values(), c.plan.Secrets(), nil
}

// Secret is a secret of checks, without what it is.
type Secret struct {
	Name   string
	By     string
	At     int64 // Unix milliseconds of when it was entered
	Sites  int   // at which checks of the current plan need it
	Listed bool  // the current plan lists it
}

// Secrets lists the secrets by name.
func (s *Service) Secrets(ctx context.Context) ([]Secret, error) {
	if _, err := looks(ctx); err != nil {
		return nil, err
	}
	kept, err := s.o.Store.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	c, needed, err := s.needed(ctx)
	if err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	if c.plan != nil {
		for _, name := range c.plan.Secrets() {
			listed[name] = true
		}
	}
	out := make([]Secret, len(kept))
	for i, k := range kept {
		out[i] = Secret{Name: k.Name, By: k.By, At: k.At.UnixMilli(), Sites: len(needed[k.Name]), Listed: listed[k.Name]}
	}
	return out, nil
}

// needed says which sites' checks need which secrets.
func (s *Service) needed(ctx context.Context) (parsed, map[string]map[string]bool, error) {
	c, err := s.current(ctx)
	if err != nil || c.plan == nil {
		return c, nil, err
	}
	fleet, err := s.fleet(ctx, c.values)
	if err != nil {
		return c, nil, err
	}
	out := map[string]map[string]bool{}
	all := c.plan.All(fleet)
	for i := range all.Agents {
		g := &all.Agents[i]
		for _, name := range g.Secrets {
			if out[name] == nil {
				out[name] = map[string]bool{}
			}
			out[name][g.Site] = true
		}
	}
	return c, out, nil
}

const maxSecret = 4096 // bytes, as agents take it

// SetSecret seals and keeps a secret. Agents whose checks need it get it at once.
func (s *Service) SetSecret(ctx context.Context, name, value string) error {
	c, err := may(ctx)
	if err != nil {
		return err
	}
	if value == "" || len(value) > maxSecret || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("secret %.80q: want 1 to %d bytes of text without control characters", name, maxSecret)
	}
	if err := probes.CheckName(name); err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	sealed, err := s.o.Seal.Seal(name, value)
	if err != nil {
		return err
	}
	if err := s.o.Store.SetSecret(ctx, name, sealed, c.Who()); err != nil {
		return err
	}
	s.poke()
	return s.record(ctx, "work.secret.set", name, "", true)
}

// RemoveSecret forgets a secret; ErrSecretUsed while checks need it.
func (s *Service) RemoveSecret(ctx context.Context, name string) error {
	if _, err := may(ctx); err != nil {
		return err
	}
	_, needed, err := s.needed(ctx)
	if err != nil {
		return err
	}
	if n := len(needed[name]); n > 0 {
		return fmt.Errorf("%w, at %d sites; change the plan first", ErrSecretUsed, n)
	}
	if err := s.o.Store.RemoveSecret(ctx, name); err != nil {
		return err
	}
	return s.record(ctx, "work.secret.remove", name, "", true)
}

// ChangeKey makes a new key and seals all secrets with it. It returns how many there are.
func (s *Service) ChangeKey(ctx context.Context) (int, error) {
	if _, err := may(ctx); err != nil {
		return 0, err
	}
	n, err := s.o.Store.Reseal(ctx, s.o.Seal.Change)
	if err != nil {
		return 0, err
	}
	return n, s.record(ctx, "work.secret.key", "key of secrets", fmt.Sprintf("%d secrets sealed anew", n), true)
}
