package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/agent"
	"communewatch/agent/schedule"
	"communewatch/probes"
	calls "communewatch/probes/webrtc/report"
)

// report is a result in JSON.
type report struct {
	Target  string         `json:"target"`
	Kind    probes.Kind    `json:"kind"`
	Address string         `json:"address"`
	Path    probes.Path    `json:"path"`
	Proof   probes.Proof   `json:"path_proof"`
	Time    time.Time      `json:"time"`
	Outcome string         `json:"outcome"`
	Up      bool           `json:"up"`
	Took    float64        `json:"took_seconds"`
	Error   string         `json:"error,omitempty"`
	Fields  map[string]any `json:"fields"`         // of the first row
	Rows    []row          `json:"rows,omitempty"` // where there are several, as one per DNS resolver
	Call    *calls.Call    `json:"call,omitempty"` // all that is known of a conference call
}

type row struct {
	Measurement string            `json:"measurement"`
	Tags        map[string]string `json:"tags"`
	Fields      map[string]any    `json:"fields"`
}

func newReport(r schedule.Result) report {
	out := report{
		Target: r.Target.Name, Kind: r.Target.Kind, Address: r.Target.Address, Path: r.Target.Path, Proof: r.Proof,
		Time: r.Start, Outcome: r.Outcome.String(), Up: r.Outcome == probes.OutcomeOK, Took: r.Took.Seconds(), Error: r.Error,
		Fields: map[string]any{},
	}
	rows := measured(r)
	for i, p := range rows {
		fields := map[string]any{}
		for _, f := range p.Fields {
			fields[f.Key] = plain(f)
		}
		if i == 0 {
			out.Fields = fields
		}
		if len(rows) > 1 {
			out.Rows = append(out.Rows, row{Measurement: p.Measurement, Tags: ownTags(p), Fields: fields})
		}
	}
	return out
}

// ownTags are the tags that tell the rows of one run apart: the resolver, or device and fact.
func ownTags(p probes.Point) map[string]string {
	out := map[string]string{}
	for _, t := range p.Tags {
		switch t.Key {
		case "agent", "site", "target", "path", "layer", "kind":
		default:
			out[t.Key] = t.Value
		}
	}
	return out
}

// measured is the rows of the probe itself, without the verdict.
func measured(r schedule.Result) []probes.Point {
	if len(r.Points) == 0 {
		return nil
	}
	return r.Points[:len(r.Points)-1]
}

func plain(f probes.Field) any {
	switch f.Type {
	case probes.TypeInt:
		return int64(f.Num)
	case probes.TypeBool:
		return f.Num != 0
	case probes.TypeString:
		return f.Str
	}
	return f.Num
}

// mainFields are the numbers that a row of the table shows, per measurement.
var mainFields = map[string][]string{
	"icmp": {"received", "sent", "loss_ratio", "rtt_median_seconds", "rtt_p95_seconds", "jitter_seconds", "df_ok"},
	"tcp":  {"connect_seconds"},
	"dns":  {"query_seconds", "answers"},
	"http": {"status", "total_seconds", "cert_expiry_seconds"},
	"sip":  {"code", "reason", "response_seconds", "user_agent", "cert_expiry_seconds"},
	"stun": {"mapped_address", "nat", "response_seconds"},
	"h323": {"connect_seconds", "gatekeeper", "gatekeeper_id", "gatekeeper_reason"},

	"webrtc":      {"grade", "mos_audio", "mos_video", "rtt_median_seconds", "usable_video_bps", "limited_by"},
	"webrtc_flow": {"loss_ratio", "discard_ratio", "variation_p95_seconds"},

	"snmp_device": {"uptime_seconds", "cpu_ratio", "memory_used_ratio", "temperature_celsius", "interfaces_up", "interfaces", "partial_tables"},
	"snmp_ups":    {"on_battery", "charge_ratio", "runtime_seconds"},
}

// printTable prints one line per result.
func printTable(w io.Writer, results []schedule.Result) error {
	if len(results) == 0 {
		_, err := fmt.Fprintln(w, "the settings file has no checks")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHECK\tKIND\tPATH\tPROOF\tOUTCOME\tTOOK\tRESULT")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Target.Name, r.Target.Kind, r.Target.Path, r.Proof, r.Outcome, seconds(r.Took.Seconds()), inOneLine(r))
	}
	return t.Flush()
}

func inOneLine(r schedule.Result) string {
	var parts []string
	if found := equipment(measured(r)); found != "" {
		parts = append(parts, found)
	}
	for _, p := range measured(r) {
		if mainFields[p.Measurement] == nil {
			continue
		}
		var words []string
		if resolver := p.Tags.Get("resolver"); resolver != "" {
			words = append(words, resolver)
		}
		for _, key := range mainFields[p.Measurement] {
			if f, ok := p.Field(key); ok {
				words = append(words, label(key)+" "+human(f))
			}
		}
		parts = append(parts, strings.Join(words, ", "))
	}
	if r.Error != "" {
		parts = append(parts, r.Error)
	}
	return strings.Join(parts, "; ")
}

// equipment says what was found, in a few words: of one device what it is, of several how many.
func equipment(rows []probes.Point) string {
	known := map[string]map[string]string{}
	for _, p := range rows {
		if p.Measurement != "equipment" {
			continue
		}
		device := p.Tags.Get("device")
		if known[device] == nil {
			known[device] = map[string]string{}
		}
		value, _ := p.Field("value")
		known[device][p.Tags.Get("fact")] = value.Str
	}
	named := 0
	for _, facts := range known {
		if facts["vendor"] != "" || facts["model"] != "" {
			named++
		}
		if len(known) > 1 {
			continue
		}
		var words []string
		for _, fact := range []probes.FactName{probes.FactVendor, probes.FactModel, probes.FactOS, probes.FactOSEdition, probes.FactOSRelease, probes.FactAddress} {
			if v := facts[string(fact)]; v != "" && !strings.HasSuffix(strings.Join(words, " "), v) {
				words = append(words, v)
			}
		}
		return strings.Join(words, " ")
	}
	if len(known) == 0 {
		return ""
	}
	return fmt.Sprintf("%d devices, of %d the maker or model is known", len(known), named)
}

// printHead prints how a run ended.
func printHead(w io.Writer, r schedule.Result) error {
	_, err := fmt.Fprintf(w, "%s %s: %s after %s (path %s, %s)\n", r.Target.Kind, r.Target.Address, r.Outcome, seconds(r.Took.Seconds()), r.Target.Path, r.Proof)
	if err == nil && r.Error != "" {
		_, err = fmt.Fprintf(w, "  %s\n", r.Error)
	}
	return err
}

// printResult prints one result with all its numbers.
func printResult(w io.Writer, r schedule.Result) error {
	if err := printHead(w, r); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	device := ""
	for _, p := range measured(r) {
		if p.Measurement == "equipment" {
			if d := p.Tags.Get("device"); d != device {
				device = d
				fmt.Fprintf(t, "  device %s\n", d)
			}
			value, _ := p.Field("value")
			source, _ := p.Field("source")
			sure, _ := p.Field("confidence_ratio")
			fmt.Fprintf(t, "  %s\t%s\t%s, %s\n", label(p.Tags.Get("fact")), value.Str, human(sure), source.Str)
			continue
		}
		for _, tag := range p.Tags { // what tells the row from others of its run
			if tag.Key == "resolver" || tag.Key == "interface" || tag.Key == "neighbour" {
				fmt.Fprintf(t, "  %s\t%s\n", tag.Key, tag.Value)
			}
		}
		for _, f := range p.Fields {
			fmt.Fprintf(t, "  %s\t%s\n", label(f.Key), human(f))
		}
	}
	return t.Flush()
}

// label turns a field's key into words; the unit is in the value.
func label(key string) string {
	for _, unit := range []string{"_seconds", "_ratio", "_bytes"} {
		key = strings.TrimSuffix(key, unit)
	}
	return strings.ReplaceAll(key, "_", " ")
}

// human prints a field's value with its unit, which its key ends in.
func human(f probes.Field) string {
	switch {
	case f.Type == probes.TypeString:
		return f.Str
	case f.Type == probes.TypeBool && f.Num != 0:
		return "yes"
	case f.Type == probes.TypeBool:
		return "no"
	case strings.HasSuffix(f.Key, "_seconds"):
		return seconds(f.Num)
	case strings.HasSuffix(f.Key, "_ratio"):
		return strconv.FormatFloat(f.Num*100, 'f', -1, 32) + " %"
	case strings.HasSuffix(f.Key, "_bytes"):
		return fmt.Sprintf("%.0f bytes", f.Num)
	}
	return strconv.FormatFloat(f.Num, 'f', -1, 64)
}

func seconds(s float64) string {
	const day = 24 * 60 * 60
	switch {
	case s >= 2*day || s <= -2*day:
		return fmt.Sprintf("%.0f days", s/day)
	case s >= 1 || s <= -1:
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.2f ms", s*1000)
}

// summarize says what a config holds.
func summarize(w io.Writer, cfg agent.Config) {
	count := map[string]int{}
	for _, c := range cfg.Checks {
		count[fmt.Sprintf("%s %s", c.Path, c.Kind)]++
	}
	fmt.Fprintf(w, "OK: agent %s of site %s, %d checks, %d collectors, state in %s\n", cfg.Agent, cfg.Site, len(cfg.Checks), len(cfg.Collectors), cfg.StateDir)
	for _, k := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(w, "  %s: %d\n", k, count[k])
	}
}
