package probes_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"communewatch/probes"
)

var update = flag.Bool("update", false, "write CONTRACT.md anew")

const contractFile = "../CONTRACT.md"

// TestContractIsWrittenDown keeps CONTRACT.md what the code says. After a change of the schema:
//
//	go test ./probes -run Contract -update
func TestContractIsWrittenDown(t *testing.T) {
	want := contract()
	if *update {
		if err := os.WriteFile(contractFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(contractFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what probes/schema.go says; run: go test ./probes -run Contract -update", contractFile)
	}
}

func contract() string {
	var b strings.Builder
	b.WriteString(`# Contract

What agents write and collectors accept: every measurement, tag and field. This page is generated from
` + "`probes/schema.go`" + ` and checked by a test.

Rows travel as InfluxDB line protocol. A row's time is the start of the run in whole milliseconds, stamped once by the
agent; same measurement, tags and time are the same row, so sending it again is harmless. Tag values are names of
1 to 63 characters out of ` + "`a-z 0-9 . _ -`" + `, or one of the closed set that is listed. Free text has at most ` + fmt.Sprint(probes.MaxText) + `
bytes. A field that could not be measured is absent; there are no zeros that mean "unknown".

## What is kept, and for how long

Rows are kept as they came for 90 days. Beside them the collector keeps windows of five minutes for a year, and of an
hour, a day and a month (of the province's calendar) for five years; all of these are settings. A window holds of each
field, by the last column of the tables below:

| mark | of the values in the window is kept | in InfluxDB |
|---|---|---|
| **n** | how many, their sum, the smallest, the largest; yes and no count as 1 and 0, so that sum by count is the share of yes | ` + "`KEY_count` `KEY_sum` `KEY_min` `KEY_max`" + ` |
| **n %** | the same, and a sketch that knows every percentile to within 1 % | also ` + "`KEY_sketch`, and `KEY_p95`" + ` of this window alone |
| **each** | how often each value of the closed set occurred | ` + "`KEY_VALUE_total`, such as `outcome_timeout_total`" + ` |
| – | nothing: free text is in rows only | |

So a mean over any range is the sum of sums by the sum of counts, and loss is ` + "`SUM(lost_sum) / SUM(sent_sum)`" + `. A 95th
percentile over many windows comes from their merged sketches, which the collector does: there is no way to it from
their ` + "`KEY_p95`" + `, and a mean of those is not one. In InfluxDB rows are in the database ` + "`communewatch`" + `, windows in
` + "`communewatch_5m`, `communewatch_1h`, `communewatch_1d` and `communewatch_1mo`" + `, each under the time at which it begins,
with the measurement and tags of its rows. One measurement is in windows alone: ` + "`line`" + `, what reports account for.
`)
	for _, m := range probes.Schema() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| tag | values |\n|---|---|\n", m.Name, m.Doc)
		for _, t := range m.Tags {
			text := t.Doc
			if t.Enum != nil {
				text += ": `" + strings.Join(t.Enum, "` `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", t.Key, text)
		}
		b.WriteString("\n| field | type | unit | meaning | kept |\n|---|---|---|---|---|\n")
		for _, f := range m.Fields {
			text := f.Doc
			if f.Enum != nil {
				text += ": `" + strings.Join(f.Enum, "` `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Key, f.Type, f.Unit, text, kept(f))
		}
		for _, r := range m.Ratios {
			fmt.Fprintf(&b, "\nOver a window `%s` is the sum of `%s` divided by the sum of `%s`, never a mean.\n", r.Ratio, r.Numerator, r.Denominator)
		}
	}
	return b.String()
}

// kept is the mark of what windows hold of a field.
func kept(f probes.FieldSpec) string {
	switch {
	case f.Enum != nil:
		return "each"
	case f.Type == probes.TypeString:
		return "–"
	case f.Distribution:
		return "n %"
	}
	return "n"
}

// TestSchemaIsSound holds the schema to its own rules.
func TestSchemaIsSound(t *testing.T) {
	units := map[string]string{"_seconds": "seconds", "_ratio": "ratio 0..1", "_bytes": "bytes", "_bps": "bit/s"}
	for _, m := range probes.Schema() {
		names := map[string]bool{}
		for _, tag := range m.Tags {
			if names[tag.Key] {
				t.Errorf("%s: %s twice", m.Name, tag.Key)
			}
			names[tag.Key] = true
		}
		for _, f := range m.Fields {
			// InfluxDB 3 keeps tags and fields of a measurement in one namespace.
			if names[f.Key] {
				t.Errorf("%s: %s twice", m.Name, f.Key)
			}
			names[f.Key] = true
			for suffix, unit := range units {
				if strings.HasSuffix(f.Key, suffix) != (f.Unit == unit) && !strings.HasPrefix(f.Key, "body") {
					t.Errorf("%s.%s: the name and the unit %q disagree", m.Name, f.Key, f.Unit)
				}
			}
			if f.Doc == "" {
				t.Errorf("%s.%s has no meaning", m.Name, f.Key)
			}
		}
		for _, r := range m.Ratios {
			for _, k := range []string{r.Ratio, r.Numerator, r.Denominator} {
				if _, ok := m.Field(k); !ok {
					t.Errorf("%s: ratio of unknown field %s", m.Name, k)
				}
			}
		}
	}
}
