package setup

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx/lines"
	"communewatch/collector/store/influx/setup/ask"
	"communewatch/probes"
)

// shownNames bounds lists in findings.
const shownNames = 8

func names(all []string) string {
	slices.Sort(all)
	all = slices.Compact(all)
	for i := range all[:min(len(all), shownNames)] {
		all[i] = ask.Printable(all[i], 60)
	}
	if len(all) > shownNames {
		return strings.Join(all[:shownNames], ", ") + fmt.Sprintf(" and %d more", len(all)-shownNames)
	}
	return strings.Join(all, ", ")
}

// ours is what the collector writes of one measurement.
type ours struct {
	tags map[string]bool
	text map[string]bool // fields, true where it is text; empty for measurements that are not of the contract
}

func (c *check) ours() map[string]ours {
	all := map[string]ours{}
	for _, name := range c.Ours {
		all[name] = ours{}
	}
	for _, m := range probes.Schema() {
		o := ours{map[string]bool{}, map[string]bool{}}
		for _, t := range m.Tags {
			o.tags[t.Key] = true
		}
		for _, f := range m.Fields {
			o.text[f.Key] = f.Type == probes.TypeString
		}
		all[m.Name] = o
	}
	return all
}

// writers looks for traces of others that write into a database of ours past the collector, which checks what its own
// senders bring: measurements, tags and types that can't have come through it, and more series than a province has.
func (c *check) writers(ctx context.Context, l rollup.Level) {
	db := c.Config.DatabaseOf(l)
	have, err := c.link.List(ctx, db, "SHOW MEASUREMENTS", "name")
	if err != nil {
		c.add(Note, "writers", db, "can't be looked at: "+err.Error(), "")
		return
	}
	known := c.ours()
	var foreign, own []string
	for _, m := range have {
		if _, ok := known[m]; ok {
			own = append(own, m)
		} else {
			foreign = append(foreign, m)
		}
	}
	if len(foreign) > 0 && l == rollup.Raw {
		c.add(Note, "writers", db, "has measurements that are not of the contract: "+names(foreign),
			"fine if they come from senders with a token of kind writer; if nobody has one, somebody writes past the collector: look who may write to "+db)
	} else if len(foreign) > 0 {
		c.add(Wrong, "writers", db, "has measurements that the collector does not put there: "+names(foreign), "somebody else writes here: look who may, and drop them: DROP MEASUREMENT \"...\"")
	}
	c.columns(ctx, db, l, own, known)
	if c.verdict.Server.Generation != 3 { // which has no statements for these
		c.withoutSite(ctx, db, own)
		c.series(ctx, db)
	}
}

// columns looks at tags and types of our measurements.
func (c *check) columns(ctx context.Context, db string, l rollup.Level, own []string, known map[string]ours) {
	tags, err := c.link.Query(ctx, db, "SHOW TAG KEYS")
	if err != nil {
		c.add(Note, "writers", db, "tags can't be looked at: "+err.Error(), "")
		return
	}
	var strange []string
	for i := range tags {
		o := known[tags[i].Name]
		for _, key := range tags[i].Column("tagKey") {
			if len(o.tags) > 0 && !o.tags[key] {
				strange = append(strange, tags[i].Name+"."+key)
			}
		}
	}
	if len(strange) > 0 {
		c.add(Wrong, "writers", db, "our measurements have tags that the contract does not know: "+names(strange), "somebody writes past the collector: look who may write to "+db)
	}
	fields, err := c.link.Query(ctx, db, "SHOW FIELD KEYS")
	if err != nil {
		c.add(Note, "writers", db, "fields can't be looked at: "+err.Error(), "")
		return
	}
	strange = nil
	for i := range fields {
		if !slices.Contains(own, fields[i].Name) {
			continue
		}
		keys, types := fields[i].Column("fieldKey"), fields[i].Column("fieldType")
		for j := range min(len(keys), len(types)) {
			text, ok := known[fields[i].Name].text[keys[j]]
			if l != rollup.Raw {
				class, window := lines.ClassOfColumn(keys[j])
				text, ok = class == lines.Text, window
			}
			if want := map[bool]string{true: "string", false: "float"}[text]; ok && types[j] != want {
				strange = append(strange, fmt.Sprintf("%s.%s is %s", fields[i].Name, keys[j], types[j]))
			}
		}
	}
	switch {
	case len(strange) == 0:
	case l == rollup.Raw:
		c.add(Wrong, "writers", db, "fields are of a type that refuses the collector's rows (texts, or floats): "+names(strange),
			"somebody wrote them first; rows are refused for good until a new shard begins. Keep others out of "+db)
	default:
		c.add(Wrong, "writers", db, "fields are of a type that refuses the collector's windows (texts, or floats): "+names(strange),
			"somebody wrote them first; rollups stand still until a new shard begins. Keep others out of "+db)
	}
}

// withoutSite looks for rows of ours that name no site: screens never show them.
func (c *check) withoutSite(ctx context.Context, db string, own []string) {
	var strange []string
	for _, m := range own {
		t, err := c.link.Query(ctx, db, fmt.Sprintf(`SHOW SERIES FROM %s WHERE "site" = '' LIMIT 1`, ask.Quoted(m)))
		if err == nil && len(t) > 0 {
			strange = append(strange, m)
		}
	}
	if len(strange) > 0 {
		c.add(Wrong, "writers", db, "rows without a site in our measurements: "+names(strange), "somebody writes past the collector: look who may write to "+db)
	}
}

// series counts the series of a database.
func (c *check) series(ctx context.Context, db string) {
	t, err := c.link.Query(ctx, db, "SHOW SERIES EXACT CARDINALITY")
	if err != nil {
		c.add(Note, "writers", db, "series can't be counted: "+err.Error(), "")
		return
	}
	type counted struct {
		name string
		n    int
	}
	var all []counted
	sum := 0
	for i := range t {
		for _, v := range t[i].Column("count") {
			n, err := strconv.Atoi(v)
			if err == nil {
				all, sum = append(all, counted{t[i].Name, n}), sum+n
			}
		}
	}
	if sum <= c.MaxSeries {
		c.add(Good, "writers", db, fmt.Sprintf("%d series", sum), "")
		return
	}
	sort.Slice(all, func(i, j int) bool { return all[i].n > all[j].n })
	var top []string
	for _, m := range all[:min(len(all), 3)] {
		top = append(top, fmt.Sprintf("%s has %d", ask.Printable(m.name, 60), m.n))
	}
	c.add(Wrong, "writers", db, fmt.Sprintf("%d series, more than %d: %s", sum, c.MaxSeries, strings.Join(top, ", ")),
		"a tag takes a new value with every row, such as a number or a time: find who writes it (SHOW TAG VALUES CARDINALITY), stop it, and drop the measurement")
}
