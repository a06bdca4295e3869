// Package guard stands between people and rehearsals: it writes into the record of changes what they order, and keeps
// from those who see some districts only what is of other sites. How the hub fared, and how many sites were in which
// state in a step, everybody sees: that is what a rehearsal of the whole province is about.
package guard

import (
	"context"
	"fmt"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	"communewatch/collector/rehearsal"
)

// Options are what New needs beside the service.
type Options struct {
	Record audit.Recorder // nil: nothing is recorded
	// Seen returns whether the caller behind a context sees a site.
	Seen func(ctx context.Context) (func(site string) bool, error)
}

// service is a Service as people see it.
type service struct {
	rehearsal.Service
	o Options
}

// New returns the service as people see it.
func New(of rehearsal.Service, o Options) rehearsal.Service { return &service{of, o} }

// record writes down what was ordered and whether it was done. An order that is not in the record is an error, although
// it may have been carried out.
func (s *service) record(ctx context.Context, act, what, by, detail string, err error) error {
	if s.o.Record == nil {
		return err
	}
	e := audit.Entry{Act: act, What: what, Detail: detail, OK: err == nil}
	if c, told := people.Told(ctx); told && by != "" && c.Who() != by {
		e.Who = by // whose operator's code it is, or who said so on the command line
	}
	if err != nil {
		e.Detail += ": " + err.Error()
	}
	// What was done is recorded although nobody waits for the answer any more.
	if failed := s.o.Record.Record(context.WithoutCancel(ctx), e); failed != nil && err == nil {
		return failed
	}
	return err
}

// Start is Service.Start.
func (s *service) Start(ctx context.Context, r rehearsal.Request) (rehearsal.ID, error) {
	id, err := s.Service.Start(ctx, r)
	what := ""
	if err == nil {
		what = id.String()
	}
	return id, s.record(ctx, "rehearsal.start", what, r.By, r.Meeting, err)
}

// Stop is Service.Stop.
func (s *service) Stop(ctx context.Context, id rehearsal.ID, by string) error {
	return s.record(ctx, "rehearsal.stop", id.String(), by, "", s.Service.Stop(ctx, id, by))
}

// Hold is Service.Hold.
func (s *service) Hold(ctx context.Context, h rehearsal.Hold) (rehearsal.Hold, error) {
	out, err := s.Service.Hold(ctx, h)
	return out, s.record(ctx, "rehearsal.hold", h.Meeting, h.By, fmt.Sprintf("for %v", h.For), err)
}

// sees returns what the caller sees; nil: everything.
func (s *service) sees(ctx context.Context) (func(site string) bool, error) {
	if people.From(ctx).Everywhere() {
		return nil, nil
	}
	return s.o.Seen(ctx)
}

// Status is Service.Status.
func (s *service) Status(ctx context.Context, id rehearsal.ID) (rehearsal.Status, error) {
	out, err := s.Service.Status(ctx, id)
	sees, failed := s.sees(ctx)
	if err != nil || failed != nil || sees == nil {
		return out, either(err, failed)
	}
	out.SiteStates = keep(out.SiteStates, func(st *rehearsal.SiteStatus) bool { return sees(st.Site) })
	return out, nil
}

func either(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Get is Service.Get.
func (s *service) Get(ctx context.Context, id rehearsal.ID) (rehearsal.Report, error) {
	out, err := s.Service.Get(ctx, id)
	sees, failed := s.sees(ctx)
	if err != nil || failed != nil || sees == nil {
		return out, either(err, failed)
	}
	caller := people.From(ctx)
	out.Plan.Sites = keep(out.Plan.Sites, func(site *string) bool { return sees(*site) })
	out.Evidence = keep(out.Evidence, func(e *rehearsal.Evidence) bool { return sees(e.Site) })
	out.Results = keep(out.Results, func(r *rehearsal.Result) bool { return sees(r.Site) })
	v := &out.Verdict
	v.Rows = keep(v.Rows, func(r *rehearsal.Row) bool { return sees(r.Site) })
	v.Shared = keep(v.Shared, func(sh *rehearsal.Shared) bool { return caller.Sees(sh.District) })
	v.Counts = map[rehearsal.Mark]int{}
	for i := range v.Rows {
		v.Counts[v.Rows[i].Overall]++
	}
	actions := v.Actions
	v.Actions = []rehearsal.Action{}
	for _, a := range actions {
		some := len(a.Sites) > 0
		a.Sites = keep(a.Sites, func(site *string) bool { return sees(*site) })
		if (!some || len(a.Sites) > 0) && (a.Why.District == "" || caller.Sees(a.Why.District)) {
			v.Actions = append(v.Actions, a)
		}
	}
	return out, nil
}

// Compare is Service.Compare.
func (s *service) Compare(ctx context.Context, before, after rehearsal.ID) (rehearsal.Comparison, error) {
	out, err := s.Service.Compare(ctx, before, after)
	sees, failed := s.sees(ctx)
	if err != nil || failed != nil || sees == nil {
		return out, either(err, failed)
	}
	for _, list := range []*[]rehearsal.Change{&out.Better, &out.Worse} {
		*list = keep(*list, func(c *rehearsal.Change) bool { return sees(c.Site) })
	}
	for _, list := range []*[]string{&out.Left, &out.Joined} {
		*list = keep(*list, func(site *string) bool { return sees(*site) })
	}
	return out, nil
}

// keep returns what of a list is seen; the list itself may be somebody else's too.
func keep[T any](list []T, seen func(*T) bool) []T {
	if list == nil {
		return nil
	}
	out := make([]T, 0, len(list))
	for i := range list {
		if seen(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}
