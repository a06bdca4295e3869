// Package grafana makes the dashboards that are in dashboards/*.json. They are written here because a dozen lines of Go
// say what a thousand lines of JSON say, and because limits come from the same rules that the collector judges by. A
// test holds the files to it, and asks a real InfluxDB every question that they hold.
//
// Ratios are sums by sums, over rows as over windows; the 95th percentile of a window is shown as it is, or the worst of
// several, and never averaged. What reaches beyond 90 days reads windows of an hour or a day.
package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"

	"communewatch/collector/health/rules"
)

//go:generate go test -run TestFilesAreCurrent -update

// Schema is the version of the dashboard model that the files are written in: that of Grafana 10. Later ones read it.
const Schema = 38

// Source is a provisioned data source, by its uid.
type Source string

// The data sources: rows, and windows of a level.
const (
	Rows        Source = "communewatch-rows"
	FiveMinutes Source = "communewatch-5m"
	Hours       Source = "communewatch-1h"
	Days        Source = "communewatch-1d"
)

// Dashboard is one file.
type Dashboard struct {
	UID, Title, Description string
	From                    string // how far back it looks at first: now-6h
	Variables               []Variable
	Rows                    []Row
}

// Variable is a choice on top of a dashboard: the values of a tag.
type Variable struct {
	Name, Label string
	Query       string
	One         bool // one value, and no choice of all
}

// Row is a heading with panels below it. A folded one asks nothing until it is opened.
type Row struct {
	Title  string
	Folded bool
	Panels []Panel
}

// Panel is one chart, number or table.
type Panel struct {
	Type               string // timeseries, stat, table, state-timeline, bargauge
	Title, Description string
	W, H               int // of 24 columns; rows of 30 pixels
	Source             Source
	Queries            []Query
	Unit               string
	Decimals           int
	Min, Max           *float64
	Limit              *rules.Limit // colours
	Back               string       // a range of its own, such as 90d
	Interval           string       // the shortest step
	SortBy             string       // of a table: the column, largest first
	Mapping            map[string]string
	Columns            []Column // of a table
}

// Column says how a column of a table is shown.
type Column struct {
	Name, Unit string
	Limit      *rules.Limit
}

// Query is InfluxQL with Grafana's variables.
type Query struct {
	Text  string
	Alias string // of series: $tag_site, $col
}

type object = map[string]any

// JSON writes a dashboard as Grafana reads it from a file.
func (d *Dashboard) JSON() ([]byte, error) {
	var panels []any
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range d.Rows {
		row := object{"id": next(), "type": "row", "title": r.Title, "collapsed": r.Folded, "gridPos": grid(24, 1, 0, y), "panels": []any{}}
		y++
		var below []any
		x, height := 0, 0
		for i := range r.Panels {
			p := &r.Panels[i]
			if x+p.W > 24 {
				x, y, height = 0, y+height, 0
			}
			below = append(below, p.json(next(), grid(p.W, p.H, x, y)))
			x += p.W
			height = max(height, p.H)
		}
		y += height
		if r.Folded {
			row["panels"] = below
			panels = append(panels, row)
		} else {
			panels = append(append(panels, row), below...)
		}
	}
	var variables []any
	for _, v := range d.Variables {
		o := object{"name": v.Name, "label": v.Label, "type": "query", "datasource": Rows.json(), "query": v.Query, "definition": v.Query, "refresh": 1, "sort": 1,
			"multi": !v.One, "includeAll": !v.One, "options": []any{}, "regex": "", "hide": 0}
		if !v.One {
			o["allValue"] = ".*"
			o["current"] = object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}
		}
		variables = append(variables, o)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(object{
		"uid": d.UID, "title": d.Title, "description": d.Description, "tags": []string{"communewatch"}, "schemaVersion": Schema, "version": 1,
		"editable": true, "graphTooltip": 1, "refresh": "1m", "timezone": "browser", "time": object{"from": d.From, "to": "now"},
		"templating": object{"list": variables}, "annotations": object{"list": []any{}}, "panels": panels,
		"links": []any{object{"type": "dashboards", "tags": []string{"communewatch"}, "title": "communewatch", "asDropdown": true, "includeVars": true, "keepTime": true}},
	})
	return out.Bytes(), err
}

func grid(w, h, x, y int) object { return object{"w": w, "h": h, "x": x, "y": y} }

func (s Source) json() object { return object{"type": "influxdb", "uid": string(s)} }

func (p *Panel) json(id int, at object) object {
	format := "time_series"
	if p.Type == "table" {
		format = "table"
	}
	var targets []any
	for i, q := range p.Queries {
		t := object{"refId": string(rune('A' + i)), "datasource": p.Source.json(), "rawQuery": true, "query": q.Text, "resultFormat": format}
		if q.Alias != "" {
			t["alias"] = q.Alias
		}
		targets = append(targets, t)
	}
	defaults := object{"unit": p.Unit, "decimals": p.Decimals, "thresholds": thresholds(p.Limit), "color": object{"mode": "palette-classic"}}
	if p.Min != nil {
		defaults["min"] = *p.Min
	}
	if p.Max != nil {
		defaults["max"] = *p.Max
	}
	if p.Mapping != nil {
		values := object{}
		for from, to := range p.Mapping {
			values[from] = object{"text": to}
		}
		defaults["mappings"] = []any{object{"type": "value", "options": values}}
	}
	if p.Limit != nil && p.Type != "timeseries" {
		defaults["color"] = object{"mode": "thresholds"}
	}
	options := object{}
	switch p.Type {
	case "timeseries":
		defaults["custom"] = object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "auto", "spanNulls": false,
			"thresholdsStyle": object{"mode": map[bool]string{true: "dashed", false: "off"}[p.Limit != nil]}}
		options = object{"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	case "stat", "bargauge":
		options = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}, "colorMode": "value", "graphMode": "area", "orientation": "auto", "displayMode": "basic"}
	case "table":
		options = object{"showHeader": true, "cellHeight": "sm"}
		if p.SortBy != "" {
			options["sortBy"] = []any{object{"displayName": p.SortBy, "desc": true}}
		}
	case "state-timeline":
		defaults["custom"] = object{"fillOpacity": 80, "lineWidth": 0}
		options = object{"showValue": "never", "mergeValues": true, "rowHeight": 0.9, "legend": object{"showLegend": false}}
	}
	overrides := []any{}
	if p.Type == "table" {
		overrides = append(overrides, override("Time", property("custom.hidden", true)))
	}
	for _, c := range p.Columns {
		var properties []any
		if c.Unit != "" {
			properties = append(properties, property("unit", c.Unit), property("decimals", 2))
		}
		if c.Limit != nil {
			properties = append(properties, property("thresholds", thresholds(c.Limit)), property("color", object{"mode": "thresholds"}),
				property("custom.cellOptions", object{"type": "color-text"}))
		}
		overrides = append(overrides, override(c.Name, properties...))
	}
	o := object{"id": id, "type": p.Type, "title": p.Title, "description": p.Description, "gridPos": at, "datasource": p.Source.json(), "targets": targets,
		"fieldConfig": object{"defaults": defaults, "overrides": overrides}, "options": options}
	if p.Back != "" {
		o["timeFrom"] = p.Back
	}
	if p.Interval != "" {
		o["interval"] = p.Interval
	}
	return o
}

func property(id string, value any) object { return object{"id": id, "value": value} }

func override(column string, properties ...any) object {
	return object{"matcher": object{"id": "byName", "options": column}, "properties": properties}
}

// thresholds colours a value as the judge would see it: green, yellow where it is degraded, red where it is bad.
func thresholds(l *rules.Limit) object {
	steps := []any{object{"color": "green", "value": nil}}
	switch {
	case l == nil:
	case l.Below:
		steps = []any{object{"color": "orange", "value": nil}, object{"color": "green", "value": *l.Degraded}}
	default:
		steps = append(steps, object{"color": "orange", "value": *l.Degraded})
		if l.Bad != nil {
			steps = append(steps, object{"color": "red", "value": *l.Bad})
		}
	}
	return object{"mode": "absolute", "steps": steps}
}

// limitOf is the first of the collector's own limits for a field, and of a layer where there are several.
func limitOf(field, layer string) *rules.Limit {
	for _, l := range rules.Default().Limits {
		if l.Field == field && (l.Layer == "" || string(l.Layer) == layer) {
			return &l
		}
	}
	panic(fmt.Sprintf("no limit for %s in %q", field, layer))
}
