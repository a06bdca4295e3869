package grafana_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"communewatch/collector/health/rules"
	"communewatch/collector/reports"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influxd"
	"communewatch/collector/store/storetest"
	"communewatch/deploy/grafana"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write dashboards/*.json anew")

func fileOf(d *grafana.Dashboard) string {
	return filepath.Join("dashboards", strings.TrimPrefix(d.UID, "communewatch-")+".json")
}

func TestFilesAreCurrent(t *testing.T) {
	have, err := filepath.Glob("dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range grafana.Dashboards() {
		want, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(fileOf(&d), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(fileOf(&d))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what dashboards.go says (%v); run go generate ./deploy/grafana", fileOf(&d), err)
		}
		have = slices.DeleteFunc(have, func(f string) bool { return f == fileOf(&d) })
	}
	if len(have) > 0 && !*update {
		t.Errorf("%v are nobody's", have)
	}
}

// file is what Grafana's documentation asks of a dashboard file, as far as it is used here.
type file struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Query string
			Datasource  source
			IncludeAll  bool
		}
	}
	Panels []panel
}

type source struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Description string
	TimeFrom    string
	GridPos     struct{ W, H, X, Y int }
	Datasource  source
	Targets     []struct{ RefID, Query, ResultFormat string }
	Panels      []panel
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Value *float64 } }
		}
	}
}

func dashboards(t *testing.T) map[string]file {
	t.Helper()
	names, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(names) < 6 {
		t.Fatalf("%d dashboards, %v", len(names), err)
	}
	all := map[string]file{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var f file
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = f
	}
	return all
}

// sources reads the data sources of a provisioning folder: the database of each, by uid, as it is called where the one of
// rows is communewatch.
func sources(t *testing.T, folder string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "datasources", "communewatch.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			JSONData                     map[string]any    `yaml:"jsonData"`
			Secure                       map[string]string `yaml:"secureJsonData"`
		}
	}
	if err := yaml.Unmarshal(data, &f); err != nil || f.APIVersion != 1 {
		t.Fatalf("%s: %v", folder, err)
	}
	all := map[string]string{}
	for _, s := range f.Datasources {
		if s.Name == "" || s.Type != "influxdb" || s.Access != "proxy" || s.URL != "${INFLUX_URL}" || s.JSONData["version"] != "InfluxQL" {
			t.Errorf("%s: data source %+v", folder, s)
		}
		for key, secret := range s.Secure {
			if !strings.HasSuffix(secret, "}") || !strings.Contains(secret, "${INFLUX_") {
				t.Errorf("%s: %s of %s is written into the file", folder, key, s.Name)
			}
		}
		all[s.UID] = strings.ReplaceAll(s.JSONData["dbName"].(string), "${INFLUX_DATABASE}", "communewatch")
	}
	return all
}

func TestProvisioning(t *testing.T) {
	password, token := sources(t, "provisioning"), sources(t, "provisioning-token")
	if !maps.Equal(password, token) {
		t.Errorf("the two ways to sign in lead to different databases: %v, %v", password, token)
	}
	c := influx.DefaultConfig()
	want := map[string]string{"communewatch-rows": c.DatabaseOf(rollup.Raw)}
	for _, l := range rollup.Levels() {
		want["communewatch-"+l.String()] = c.DatabaseOf(l)
	}
	if !maps.Equal(password, want) {
		t.Errorf("data sources %v, want %v", password, want)
	}
	data, err := os.ReadFile("provisioning/dashboards/communewatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	if err := yaml.Unmarshal(data, &f); err != nil || f.APIVersion != 1 || len(f.Providers) != 1 || f.Providers[0].Type != "file" || f.Providers[0].Options.Path == "" {
		t.Errorf("provider: %+v, %v", f, err)
	}
}

func TestEveryPanelIsWhole(t *testing.T) {
	known := sources(t, "provisioning")
	uids := map[string]string{}
	for name, d := range dashboards(t) {
		if d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.SchemaVersion != grafana.Schema {
			t.Errorf("%s: uid %q, title %q, schemaVersion %d", name, d.UID, d.Title, d.SchemaVersion)
		}
		if other := uids[d.UID]; other != "" {
			t.Errorf("%s and %s have one uid", name, other)
		}
		uids[d.UID] = name
		ids := map[int]bool{}
		var walk func([]panel)
		walk = func(panels []panel) {
			for _, p := range panels {
				if ids[p.ID] || p.ID == 0 || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H < 1 {
					t.Errorf("%s: panel %d %q at %+v", name, p.ID, p.Title, p.GridPos)
				}
				ids[p.ID] = true
				if p.Type == "row" {
					walk(p.Panels)
					continue
				}
				if known[p.Datasource.UID] == "" || p.Datasource.Type != "influxdb" {
					t.Errorf("%s: %q asks %+v, which is not provisioned", name, p.Title, p.Datasource)
				}
				if p.Description == "" || len(p.Targets) == 0 {
					t.Errorf("%s: %q has %d queries and the description %q", name, p.Title, len(p.Targets), p.Description)
				}
				for _, q := range p.Targets {
					averaged := regexp.MustCompile(`(?i)\b(MEAN|MEDIAN)\(|(?i)(MEAN|SUM|PERCENTILE)\("[a-z_]*_(p95|ratio)"|PERCENTILE\("[a-z_]*p95`)
					if averaged.MatchString(q.Query) {
						t.Errorf("%s: %q averages what can't be averaged: %s", name, p.Title, q.Query)
					}
					if p.TimeFrom != "" && p.Datasource.UID == "communewatch-rows" {
						t.Errorf("%s: %q looks %s back at rows", name, p.Title, p.TimeFrom)
					}
				}
			}
		}
		walk(d.Panels)
	}
}

// TestLimitsAreTheCollectors looks at one limit in the file that Grafana reads.
func TestLimitsAreTheCollectors(t *testing.T) {
	limit := rules.Default().Limits[0] // of icmp.loss_ratio
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			if p.Title != "Mất gói" {
				continue
			}
			steps := p.FieldConfig.Defaults.Thresholds.Steps
			if limit.Field != "icmp.loss_ratio" || len(steps) != 3 || *steps[1].Value != *limit.Degraded || *steps[2].Value != *limit.Bad {
				t.Errorf("%s: steps %+v, limit %+v", d.Title, steps, limit)
			}
		}
	}
}

// now is when the newest rows are of; Grafana asks up to there.
var now = time.Now().UTC().Truncate(time.Hour)

// zone of days and months.
var zone = time.FixedZone("ICT", 7*3600)

// fill stores two hours of rows of every measurement of the contract, of two sites, the way a collector does, and the
// windows of all levels that are made of them; and lines, which are made by other means.
func fill(t *testing.T, s store.Store) {
	t.Helper()
	for _, m := range probes.Schema() {
		var points []probes.Point
		for i := range 24 {
			at := now.Add(-2*time.Hour + time.Duration(i)*5*time.Minute)
			for _, site := range []string{"s08707", "s08710"} {
				for _, way := range []string{"broadband", "dedicated"} {
					points = append(points, row(&m, site, way, at, i)...)
				}
			}
		}
		if err := s.Append(t.Context(), storetest.Rows(t, points...)); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	for _, level := range rollup.Levels() {
		fold := rollup.NewFold(level, zone)
		for _, m := range probes.Schema() {
			err := s.Select(t.Context(), store.Query{Measurement: m.Name, From: now.Add(-2 * time.Hour), To: now}, func(s store.Series) error {
				fold.Add(s.Measurement, s.Field, s.Tags, s.Times, s.Values, s.Texts)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		rows := fold.Rows()
		if level > rollup.FiveMinutes {
			rows = append(rows, accounts(level)...)
		}
		if err := s.PutRollups(t.Context(), level, rows); err != nil {
			t.Fatal(err)
		}
	}
}

// row is what a run writes of a measurement: one row, or one for each value of a closed set that tells rows apart.
func row(m *probes.MeasurementSpec, site, way string, at time.Time, i int) (points []probes.Point) {
	variants := []map[string]string{{}}
	for _, tag := range m.Tags {
		values := tag.Enum
		switch tag.Key {
		case "site":
			values = []string{site}
		case "path":
			values = []string{way}
		case "fact", "direction", "media", "kind", "layer":
		default:
			values = []string{"a-" + tag.Key}
		}
		if tag.Key == "fact" {
			values = values[:2]
		}
		var more []map[string]string
		for _, v := range variants {
			for _, value := range values {
				next := maps.Clone(v)
				next[tag.Key] = value
				more = append(more, next)
			}
		}
		variants = more
	}
	for _, v := range variants {
		if m.Name == "check" && v["layer"] != "conference" && v["kind"] != "icmp" {
			continue
		}
		p := probes.Point{Measurement: m.Name, Time: at}
		for key, value := range v {
			p.Tags = p.Tags.With(key, value)
		}
		for j, f := range m.Fields {
			switch {
			case f.Type == probes.TypeString && f.Enum != nil:
				p.Fields = append(p.Fields, probes.String(f.Key, f.Enum[i%len(f.Enum)]))
			case f.Type == probes.TypeString:
				p.Fields = append(p.Fields, probes.String(f.Key, "chữ"))
			case f.Type == probes.TypeBool:
				p.Fields = append(p.Fields, probes.Bool(f.Key, i%3 > 0))
			case f.Key == "sent":
				p.Fields = append(p.Fields, probes.Int(f.Key, 20))
			case f.Unit == "ratio 0..1":
				p.Fields = append(p.Fields, probes.Float(f.Key, float64(i%10)/10))
			case f.Type == probes.TypeInt:
				p.Fields = append(p.Fields, probes.Int(f.Key, int64(i%3+j)))
			default:
				p.Fields = append(p.Fields, probes.Float(f.Key, float64(i+j)+0.25))
			}
		}
		points = append(points, p)
	}
	return points
}

// accounts is the windows that reports rest on.
func accounts(level rollup.Level) (rows []rollup.Row) {
	for _, layer := range []string{"broadband", "dedicated", "lan", "conference"} {
		for _, hours := range []string{"office", "other"} {
			r := rollup.Row{Measurement: reports.Measurement, Start: level.Start(now.Add(-time.Hour), zone).UnixMilli(),
				Tags: probes.Tags{{Key: "hours", Value: hours}, {Key: "layer", Value: layer}, {Key: "site", Value: "s08707"}}}
			for _, f := range []string{"closed_seconds", "degraded_seconds", "down_seconds", "lost", "maintenance_seconds", "no_data_seconds", "ok_seconds", "outages", "sent"} {
				r.Fields = append(r.Fields, rollup.Field{Key: f, Value: rollup.Aggregate{Total: true, Sum: float64(len(f))}})
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// asked fills in Grafana's variables as its documentation says: https://grafana.com/docs/grafana/latest/dashboards/variables/
// and, for InfluxQL, a choice of several values as a group of a regular expression.
func asked(query string, back time.Duration, values map[string]string) string {
	step := max(back/500, 10*time.Second).Truncate(time.Second)
	query = strings.ReplaceAll(query, "$timeFilter", fmt.Sprintf("time >= %dms and time <= %dms", now.Add(-back).UnixMilli(), now.UnixMilli()))
	query = strings.ReplaceAll(query, "$__interval", fmt.Sprintf("%ds", int(step.Seconds())))
	for name, value := range values {
		query = strings.ReplaceAll(query, "$"+name, value)
	}
	return query
}

var spans = map[string]time.Duration{"": 6 * time.Hour, "30d": 30 * 24 * time.Hour, "90d": 90 * 24 * time.Hour, "1y": 365 * 24 * time.Hour, "5y": 5 * 365 * 24 * time.Hour}

// choices are what people choose: one of each, several, all.
var choices = []map[string]string{
	{"site": "s08707", "path": "broadband", "agent": "a-agent"},
	{"site": "(s08707|s08710)", "path": "(broadband|dedicated)", "agent": "(a-agent|a-other)"},
	{"site": ".*", "path": ".*", "agent": ".*"},
}

// TestEveryQueryIsAnswered asks a real InfluxDB, which a collector's store has filled, all that the dashboards ask.
func TestEveryQueryIsAnswered(t *testing.T) {
	server, err := influxd.New(influxd.Options{Dir: t.TempDir()})
	if err == nil {
		err = server.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	config := influx.DefaultConfig()
	config.URL = server.URL()
	keep := map[rollup.Level]time.Duration{rollup.Raw: 90 * 24 * time.Hour}
	for _, l := range rollup.Levels() {
		keep[l] = 6 * 365 * 24 * time.Hour
	}
	if _, err := setup.Setup(t.Context(), setup.Options{Config: config, Keep: keep}); err != nil {
		t.Fatal(err)
	}
	s, err := influx.Open(t.Context(), influx.Options{Config: config, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	databases := sources(t, "provisioning")
	n := 0
	for name, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			for _, c := range choices {
				if err := ask(t, server.URL(), databases[v.Datasource.UID], asked(v.Query, spans[""], c)); err != nil {
					t.Errorf("%s: variable %s: %v", name, v.Name, err)
				}
			}
		}
		var walk func([]panel)
		walk = func(panels []panel) {
			for _, p := range panels {
				walk(p.Panels)
				back, ok := spans[p.TimeFrom]
				if !ok {
					t.Errorf("%s: %q looks back %q, which this test does not know", name, p.Title, p.TimeFrom)
				}
				for _, q := range p.Targets {
					for _, c := range choices {
						n++
						text := asked(q.Query, back, c)
						if regexp.MustCompile(`\$[A-Za-z_{]`).MatchString(text) {
							t.Errorf("%s: %q: a variable is left in %s", name, p.Title, text)
						}
						if err := ask(t, server.URL(), databases[p.Datasource.UID], text); err != nil {
							t.Errorf("%s: %q: %v", name, p.Title, err)
						}
					}
				}
			}
		}
		walk(d.Panels)
	}
	t.Logf("%d queries", n)
}

// ask runs a query as Grafana does, and returns an error where the answer has none of the numbers or texts that were
// asked for.
func ask(t *testing.T, server, db, query string) error {
	t.Helper()
	resp, err := http.PostForm(server+"/query", url.Values{"db": {db}, "q": {query}, "epoch": {"ms"}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" || len(answer.Results) != 1 || answer.Results[0].Error != "" {
		return fmt.Errorf("%+v\n%s", answer, query)
	}
	found := map[string]bool{}
	var columns []string
	for _, s := range answer.Results[0].Series {
		columns = s.Columns
		for _, row := range s.Values {
			for i, v := range row {
				if f, number := v.(float64); v != nil && !(number && math.IsNaN(f)) {
					found[s.Columns[i]] = true
				}
			}
		}
	}
	for _, c := range columns {
		if !found[c] {
			return fmt.Errorf("nothing in column %s of %s: %s", c, db, query)
		}
	}
	if len(columns) == 0 {
		return fmt.Errorf("no data in %s: %s", db, query)
	}
	return nil
}
