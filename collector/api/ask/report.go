package ask

import (
	"net/url"
	"slices"
	"time"

	"communewatch/collector/reports"
	"communewatch/collector/reports/period"
	"communewatch/probes"
)

// ForReport reads a question for a report: period=2026-10, 2026-Q3 or 2026, or from= and to=, two days that both count;
// hours=office (also without), other or all; and what narrows it: layer, district, provider, site. Where no period is
// given that of the answer is zero, for the caller to choose.
func ForReport(q url.Values, now time.Time, zone *time.Location) (reports.Query, error) {
	out := reports.Query{Hours: reports.Office}
	for _, key := range []string{"period", "from", "to", "hours", "layer", "district", "provider", "site"} {
		if len(q[key]) > 1 {
			return out, mistake(key + " is given twice")
		}
	}
	var err error
	switch {
	case q.Get("period") != "":
		if q.Get("from") != "" || q.Get("to") != "" {
			return out, mistake("give either period, or from and to")
		}
		out.Period, err = period.Parse(q.Get("period"), zone)
	case q.Get("from") != "" || q.Get("to") != "":
		out.Period, err = period.Days(q.Get("from"), q.Get("to"), zone)
	}
	if err != nil {
		return out, mistake(err.Error())
	}
	if err := period.Begun(out.Period, now); err != nil {
		return out, mistake(err.Error())
	}
	switch hours := reports.Hours(q.Get("hours")); hours {
	case "":
	case reports.Office, reports.Other, reports.All:
		out.Hours = hours
	default:
		return out, mistake("hours must be office, other or all")
	}
	if layer := probes.Layer(q.Get("layer")); layer != "" {
		if !slices.Contains(probes.Layers(), layer) {
			return out, mistake("layer must be lan, broadband, dedicated or conference")
		}
		out.Layer = layer
	}
	for key, to := range map[string]*string{"district": &out.District, "provider": &out.Provider, "site": &out.Site} {
		text := q.Get(key)
		if text != "" && !printable(text) {
			return out, mistake(key + " must be a name of at most 512 bytes, without control characters")
		}
		*to = text
	}
	return out, nil
}

// Wrong is a mistake that a room beside this one found in a question, in words for whoever asked it.
func Wrong(text string) error { return mistake(text) }
