// Package reports is the part of the JSON API about what lines were worth: reports as package reports makes them, and of
// which months there are figures. It reads and narrows; nothing is worked out here.
package reports

import (
	"context"
	"net/http"
	"slices"
	"time"

	"communewatch/collector/api/ask"
	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
)

// Period is a stretch of whole days in the province's zone.
type Period struct {
	Kind  reports.Kind `json:"kind"`
	Name  string       `json:"name"`      // as a question has it: 2026-10, 2026-Q3, 2026; of other days 2026-10-01..2026-10-15
	First string       `json:"first_day"` // 2026-10-01
	Last  string       `json:"last_day"`  // it counts too
}

// Lines is a report. A field here stands for that of the same name in the report.
type Lines struct {
	*reports.Report
	Period Period    `json:"period"`
	Made   time.Time `json:"made"`
	DataTo time.Time `json:"data_to"`
}

// Periods are the months that there are figures of, the newest first.
type Periods struct {
	Months []Period `json:"months"`
}

func periodOf(p reports.Period) Period {
	return Period{Kind: p.Kind, Name: period.Name(p), First: p.From.Format(time.DateOnly), Last: period.Last(p).Format(time.DateOnly)}
}

// Asking answers one question: what is to be written as JSON, an *ask.Mistake, or the reporter's own error.
type Asking = func(ctx context.Context, r *http.Request, lang string) (any, error)

// Routes lists what is asked under which pattern. zone is where days begin.
func Routes(from reports.Reporter, now func() time.Time, zone *time.Location) map[string]Asking {
	return map[string]Asking{
		"GET /api/v1/reports/lines": func(ctx context.Context, r *http.Request, _ string) (any, error) {
			q, err := question(ctx, from, r, now(), zone)
			if err != nil {
				return nil, err
			}
			rep, err := from.Report(ctx, q)
			if err != nil {
				return nil, err
			}
			if len(rep.Unknown) > 0 {
				return nil, ask.Wrong(rep.Unknown[0].Error())
			}
			return answer(rep), nil
		},
		"GET /api/v1/reports/periods": func(ctx context.Context, r *http.Request, _ string) (any, error) {
			if err := onlyKnown(r, "lang"); err != nil {
				return nil, err
			}
			listed, err := from.Periods(ctx)
			if err != nil {
				return nil, err
			}
			out := Periods{Months: make([]Period, len(listed))}
			for i, p := range listed {
				out.Months[i] = periodOf(p)
			}
			return out, nil
		},
	}
}

func question(ctx context.Context, from reports.Reporter, r *http.Request, now time.Time, zone *time.Location) (reports.Query, error) {
	if err := onlyKnown(r, "period", "from", "to", "hours", "layer", "district", "provider", "site", "lang"); err != nil {
		return reports.Query{}, err
	}
	q, err := ask.ForReport(r.URL.Query(), now, zone)
	if err != nil || !q.Period.From.IsZero() {
		return q, err
	}
	listed, err := from.Periods(ctx)
	q.Period = period.Latest(listed, now, zone)
	return q, err
}

// onlyKnown refuses a parameter that a question does not have: who misspells district would take the whole province's
// figures for a district's.
func onlyKnown(r *http.Request, known ...string) error {
	for key := range r.URL.Query() {
		if !slices.Contains(known, key) {
			return ask.Wrong("there is a parameter that this question does not have; /api/v1/openapi.json lists those it has")
		}
	}
	return nil
}

// answer gives lists that are empty as such, and times in UTC, as all answers of the API do.
func answer(rep *reports.Report) Lines {
	r := *rep
	for _, list := range []*[]reports.Group{&r.Districts, &r.Providers, &r.Paths} {
		if *list == nil {
			*list = []reports.Group{}
		}
	}
	if r.Lines == nil {
		r.Lines = []reports.Line{}
	}
	if r.Pairs == nil {
		r.Pairs = []reports.Pair{}
	}
	return Lines{Report: &r, Period: periodOf(r.Period), Made: r.Made.UTC(), DataTo: r.DataTo.UTC()}
}
