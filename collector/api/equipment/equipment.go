// Package equipment is the part of the JSON API about the inventory: what package stock answers, in names that stay. It
// reads; what people change, they change by the command line.
package equipment

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"communewatch/collector/stock"
	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// A Mistake is what is wrong with a question.
type Mistake struct{ Text string }

// Error is the whole of it, with the fix.
func (m *Mistake) Error() string { return m.Text }

// ErrNoDevice says that there is no device of that id.
var ErrNoDevice = stock.ErrNoDevice

// Routes lists what is asked under which pattern: a function that returns what is to be written as JSON. An error is a
// *Mistake, ErrNoDevice, or the inventory's own. lang is "vi" or "en". A parameter that a question does not have is a
// mistake: who misspells as_of would take today's answer for another day's.
func Routes(r stock.Reader) map[string]func(ctx context.Context, req *http.Request, lang string) (any, error) {
	all := routes(r)
	for pattern, do := range all {
		known := parameters(pattern)
		all[pattern] = func(ctx context.Context, req *http.Request, lang string) (any, error) {
			if err := onlyKnown(req.URL, known); err != nil {
				return nil, err
			}
			return do(ctx, req, lang)
		}
	}
	return all
}

// parameters lists what a question may be asked with.
func parameters(pattern string) []string {
	judged := []string{"as_of", "lang"}
	narrowed := append(judged, "site", "district", "class", "vendor", "model", "phase", "standing", "state", "legal", "action", "search")
	switch pattern {
	case "GET /api/v1/inventory/catalogue":
		return nil
	case "GET /api/v1/inventory/devices/{id}":
		return judged
	case "GET /api/v1/inventory/devices":
		return append(narrowed, "offset", "limit")
	}
	return narrowed
}

func onlyKnown(u *url.URL, known []string) error {
	v, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return &Mistake{"the query can't be read; write it as name=value&name=value, with special characters as %XX"}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch {
		case len(known) == 0:
			return &Mistake{fmt.Sprintf("%.40q is no parameter of this address; it has none", name)}
		case !slices.Contains(known, name):
			return &Mistake{fmt.Sprintf("%.40q is no parameter of this address; it has %s", name, strings.Join(known, ", "))}
		case len(v[name]) > 1:
			return &Mistake{fmt.Sprintf("%s is given %d times; give it once", name, len(v[name]))}
		}
	}
	return nil
}

func routes(r stock.Reader) map[string]func(ctx context.Context, req *http.Request, lang string) (any, error) {
	type ask = func(ctx context.Context, req *http.Request, lang string) (any, error)
	with := func(do func(ctx context.Context, q stock.Query) (any, error)) ask {
		return func(ctx context.Context, req *http.Request, lang string) (any, error) {
			q, err := Parse(req.URL.Query(), lang)
			if err != nil {
				return nil, err
			}
			return do(ctx, q)
		}
	}
	return map[string]ask{
		"GET /api/v1/inventory/devices": func(ctx context.Context, req *http.Request, lang string) (any, error) {
			q, err := Parse(req.URL.Query(), lang)
			if err != nil {
				return nil, err
			}
			from, to, err := page(req.URL.Query())
			if err != nil {
				return nil, err
			}
			rows, err := r.Table(ctx, q)
			n := len(rows)
			return Devices{Total: n, Offset: from, Devices: List(rows[min(from, n):min(to, n)], NewDevice)}, err
		},
		"GET /api/v1/inventory/devices/{id}": func(ctx context.Context, req *http.Request, lang string) (any, error) {
			q, err := Parse(req.URL.Query(), lang)
			if err != nil {
				return nil, err
			}
			d, err := r.Device(ctx, req.PathValue("id"), q)
			return NewDeviceDetail(d), err
		},
		"GET /api/v1/inventory/summary": with(func(ctx context.Context, q stock.Query) (any, error) {
			s, err := r.Summary(ctx, q)
			return NewSummary(s), err
		}),
		"GET /api/v1/inventory/unsupported": with(func(ctx context.Context, q stock.Query) (any, error) {
			rows, err := r.Unsupported(ctx, q)
			return List(rows, NewDevice), err
		}),
		"GET /api/v1/inventory/replacements": with(func(ctx context.Context, q stock.Query) (any, error) {
			all, err := r.Replacements(ctx, q)
			return List(all, NewReplacement), err
		}),
		"GET /api/v1/inventory/verify": with(func(ctx context.Context, q stock.Query) (any, error) {
			all, err := r.Verify(ctx, q)
			return List(all, NewQuestion), err
		}),
		"GET /api/v1/inventory/purchases": with(func(ctx context.Context, q stock.Query) (any, error) {
			p, err := r.Purchases(ctx, q)
			return NewPurchases(p), err
		}),
		"GET /api/v1/inventory/catalogue": func(ctx context.Context, _ *http.Request, _ string) (any, error) {
			rows, err := r.Catalogue(ctx)
			return List(rows, newRow), err
		},
	}
}

// Devices is one page of the devices.
type Devices struct {
	Total   int      `json:"total"` // that the filter lets through
	Offset  int      `json:"offset"`
	Devices []Device `json:"devices"`
}

// defaultLimit is how many devices come at a time unless told, and maxLimit the most.
const defaultLimit, maxLimit = 1000, 10_000

func page(v url.Values) (from, to int, err error) {
	number := func(name string, otherwise, most int) int {
		text := v.Get(name)
		if text == "" {
			return otherwise
		}
		n, bad := strconv.Atoi(text)
		if bad != nil || n < 0 || n > most {
			err = &Mistake{fmt.Sprintf("%s: %.40q is no number from 0 to %d", name, text, most)}
		}
		return n
	}
	from = number("offset", 0, 10_000_000)
	return from, from + number("limit", defaultLimit, maxLimit), err
}

// Parse reads a query from the parameters that all questions share.
func Parse(v url.Values, lang string) (stock.Query, error) {
	q := stock.Query{Lang: lang, Filter: stock.Filter{
		Site: v.Get("site"), District: v.Get("district"), Class: v.Get("class"), Vendor: v.Get("vendor"), Model: v.Get("model"), Phase: v.Get("phase"),
		Standing: stock.Standing(v.Get("standing")), State: lifecycle.State(v.Get("state")), Action: lifecycle.Action(v.Get("action")),
		Legal: lifecycle.LegalState(v.Get("legal")), Search: v.Get("search"),
	}}
	for _, p := range []struct {
		name  string
		known []string
	}{
		{"standing", []string{string(stock.Outdated), string(stock.Fine), string(stock.Unknown)}},
		{"state", []string{"unknown", "ok", "due_soon", "outdated", "review", "not_applicable"}},
		{"legal", []string{string(lifecycle.LegalCannotTell), string(lifecycle.LegalEligible), string(lifecycle.LegalNotYet)}},
	} {
		if err := oneOf(v, p.name, p.known); err != nil {
			return q, err
		}
	}
	var err error
	if q.AsOf, err = inventory.ParseDate(v.Get("as_of")); err != nil {
		return q, &Mistake{"as_of: " + err.Error()}
	}
	return q, nil
}

func oneOf(v url.Values, name string, known []string) error {
	text := v.Get(name)
	if text == "" {
		return nil
	}
	for _, k := range known {
		if k == text {
			return nil
		}
	}
	return &Mistake{fmt.Sprintf("%s: %.40q is none of %q", name, text, known)}
}
