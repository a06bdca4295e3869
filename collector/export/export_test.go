package export_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"

	"communewatch/collector/export"
	"communewatch/collector/export/remote"
	"communewatch/collector/rollup"
	"communewatch/collector/store"
	"communewatch/collector/store/embedded"
	"communewatch/collector/store/portion"
	"communewatch/collector/store/storetest"
	"communewatch/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)

func open(t *testing.T) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const foreign = "đo nhiệt, độ/phòng"

// fill puts a day into a store: of two sites, with every type of the contract, and of a foreign writer with names and
// texts that formats stumble over.
func fill(t *testing.T, s store.Store) {
	t.Helper()
	var body []byte
	for i := range 24 * 12 {
		at := now.Add(-24*time.Hour + time.Duration(i)*5*time.Minute + 7*time.Millisecond)
		for _, site := range []string{"s1", "s2"} {
			for _, f := range []string{
				fmt.Sprintf("icmp,agent=máy\\ 1,path=broadband,site=%s,target=anchor sent=20i,lost=%di,rtt_median_seconds=%v,df_ok=%v %d\n", site, i%3, 0.01+float64(i)/7e4, i%2 == 0, at.UnixNano()),
				fmt.Sprintf("check,agent=máy\\ 1,kind=icmp,layer=internet,path=broadband,site=%s,target=anchor outcome=\"timeout\",up=f,error=\"không \\\"trả lời\\\", \\\\ lần %d\" %d\n", site, i, at.UnixNano()),
			} {
				body = append(body, f...)
			}
		}
		if i%20 == 0 {
			body = append(body, fmt.Sprintf("đo\\ nhiệt\\,\\ độ/phòng,time=không,nơi\\==a\\,b độ\\ C=%v,ghi=\"=cmd|' /C calc'!A0\r\n;dòng hai %s\" %d\n", -1e-7*float64(i), strings.Repeat("x", 600), at.UnixNano())...)
		}
	}
	if err := s.Append(t.Context(), storetest.Parse(t, string(body))); err != nil {
		t.Fatal(err)
	}
	for _, level := range rollup.Levels() {
		fold := rollup.NewFold(level, time.UTC)
		for _, m := range []string{"icmp", "check"} {
			if err := s.Select(t.Context(), store.Query{Measurement: m, From: now.Add(-24 * time.Hour), To: now}, func(s store.Series) error {
				fold.Add(s.Measurement, s.Field, s.Tags, s.Times, s.Values, s.Texts)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PutRollups(t.Context(), level, fold.Rows()); err != nil {
			t.Fatal(err)
		}
	}
}

var day = portion.Range{From: now.Add(-24 * time.Hour), To: now}

// rows is all rows of a store, in words.
func rows(t *testing.T, s portion.Source, r portion.Range) (all []string) {
	t.Helper()
	err := portion.Rows(t.Context(), s, r, func(m string, rows []portion.Row) error {
		for _, r := range rows {
			all = append(all, fmt.Sprintf("%s %v %d %v", m, r.Series.Tags, r.Time, r.Fields))
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func write(t *testing.T, src portion.Source, r export.Request) export.Result {
	t.Helper()
	result, err := export.Write(t.Context(), src, r)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestLinesMakeTheSameStore(t *testing.T) {
	s := open(t)
	fill(t, s)
	var out bytes.Buffer
	result := write(t, s, export.Request{Format: export.LP, Range: day, Output: export.Stdout, Stdout: &out})
	text := out.String()
	if want := fmt.Sprintf("%s%d lines\n", export.Ending, result.Rows); !strings.HasSuffix(text, want) {
		t.Errorf("the export ends with %q, want %q", text[max(len(text)-80, 0):], want)
	}
	for _, want := range []string{"icmp,agent=máy\\ 1,path=broadband,site=s1,target=anchor df_ok=t,lost=0i,rtt_median_seconds=0.01,sent=20i 1795599000007000000\n", ",up=f "} {
		if !strings.Contains(text, want) {
			t.Errorf("the export lacks %q:\n%.600s", want, text)
		}
	}
	again := open(t)
	if err := again.Append(t.Context(), storetest.Parse(t, text)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows(t, s, day), rows(t, again, day)); diff != "" {
		t.Error(diff)
	}
}

func TestOneSiteAndMeasurement(t *testing.T) {
	s := open(t)
	fill(t, s)
	r := day
	r.Sites, r.Measurements, r.From = []string{"s2"}, []string{"icmp"}, now.Add(-time.Hour)
	var out bytes.Buffer
	result := write(t, s, export.Request{Format: export.LP, Range: r, Output: export.Stdout, Stdout: &out})
	if result.Rows != 12 || strings.Count(out.String(), ",site=s2,") != 12 {
		t.Errorf("%d rows:\n%s", result.Rows, out.String())
	}
}

// TestTables reads CSV and Parquet back and holds every value against the store.
func TestTables(t *testing.T) {
	s := open(t)
	fill(t, s)
	want := rows(t, s, day)
	for _, f := range []export.Format{export.CSV, export.Parquet} {
		t.Run(string(f), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			result := write(t, s, export.Request{Format: f, Range: day, Output: dir})
			if int(result.Rows) != len(want) || len(result.Files) != 3 {
				t.Fatalf("result %+v, want %d rows", result, len(want))
			}
			names := map[string]string{"icmp": "icmp", "check": "check", foreign: "%C4%91o%20nhi%E1%BB%87t%2C%20%C4%91%E1%BB%99%2Fph%C3%B2ng"}
			var got []string
			for m, name := range names {
				file := filepath.Join(dir, name+"."+string(f))
				table := readCSV
				if f == export.Parquet {
					table = readParquet
				}
				got = append(got, back(t, m, table(t, file))...)
			}
			slices.Sort(got)
			sorted := slices.Sorted(slices.Values(want))
			if diff := cmp.Diff(sorted, got); diff != "" {
				t.Error(diff)
			}
			if parts, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(parts) > 0 {
				t.Errorf("left behind: %v", parts)
			}
		})
	}
}

// back makes of a table what rows makes of a store.
func back(t *testing.T, measurement string, table []map[string]any) (out []string) {
	t.Helper()
	tagKeys := []string{"agent", "kind", "layer", "path", "site", "target"}
	if measurement == foreign {
		tagKeys = []string{"nơi=", "time_"}
	}
	for _, r := range table {
		var tags probes.Tags
		for _, k := range tagKeys {
			if v, ok := r[k]; ok {
				tags = append(tags, probes.Tag{Key: strings.TrimSuffix(k, "_"), Value: v.(string)})
				delete(r, k)
			}
		}
		at := r["time"].(time.Time)
		delete(r, "time")
		var fields []probes.Field
		for k, v := range r {
			switch v := v.(type) {
			case string:
				fields = append(fields, probes.String(k, v))
			case float64:
				fields = append(fields, probes.Float(k, v))
			}
		}
		slices.SortFunc(fields, func(a, b probes.Field) int { return strings.Compare(a.Key, b.Key) })
		out = append(out, fmt.Sprintf("%s %v %d %v", measurement, tags, at.UnixMilli(), fields))
	}
	return out
}

func readCSV(t *testing.T, file string) (out []map[string]any) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records[1:] {
		row := map[string]any{}
		for i, text := range record {
			key := records[0][i]
			var n float64
			switch _, err := fmt.Sscanf(text, "%g\n", &n); {
			case text == "":
			case key == "time":
				at, err := time.Parse(time.RFC3339, text)
				if err != nil || !strings.HasSuffix(text, ".007Z") {
					t.Fatalf("time %q: %v", text, err)
				}
				row[key] = at
			case text == "true" || text == "false":
				row[key] = map[string]float64{"true": 1, "false": 0}[text]
			case err == nil && key != "ghi" && key != "error":
				row[key] = n
			default:
				row[key] = strings.ReplaceAll(text, "0\n;", "0\r\n;") // encoding/csv reads one for the other
			}
		}
		out = append(out, row)
	}
	return out
}

func readParquet(t *testing.T, file string) (out []map[string]any) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := parquet.NewReader(f)
	defer r.Close()
	columns := r.Schema().Columns()
	buf := make([]parquet.Row, 10)
	for {
		n, err := r.ReadRows(buf)
		for _, row := range buf[:n] {
			cells := map[string]any{}
			for _, v := range row {
				name := columns[v.Column()][0]
				switch {
				case v.IsNull():
				case name == "time":
					cells[name] = time.UnixMilli(v.Int64())
				case v.Kind() == parquet.Boolean:
					cells[name] = map[bool]float64{true: 1}[v.Boolean()]
				case v.Kind() == parquet.Int64:
					cells[name] = float64(v.Int64())
				case v.Kind() == parquet.Double:
					cells[name] = v.Double()
				default:
					cells[name] = string(v.ByteArray())
				}
			}
			out = append(out, cells)
		}
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestParquetHasTypes(t *testing.T) {
	s := open(t)
	fill(t, s)
	dir := filepath.Join(t.TempDir(), "out")
	write(t, s, export.Request{Format: export.Parquet, Range: day, Output: dir})
	f, err := os.Open(filepath.Join(dir, "icmp.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := parquet.NewReader(f)
	defer r.Close()
	schema := r.Schema().String()
	for _, want := range []string{"required int64 time (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS))", "optional binary site (STRING)", "optional int64 sent (INT(64,true))",
		"optional double rtt_median_seconds", "optional boolean df_ok"} {
		if !strings.Contains(schema, want) {
			t.Errorf("the schema lacks %q:\n%s", want, schema)
		}
	}
}

func TestWindows(t *testing.T) {
	s := open(t)
	fill(t, s)
	dir := filepath.Join(t.TempDir(), "out")
	r := day
	r.From = now.Add(-48 * time.Hour)
	write(t, s, export.Request{Format: export.CSV, Level: rollup.Hour, Range: r, Output: dir})
	table := readCSVPlain(t, filepath.Join(dir, "icmp.csv"))
	if got, want := table[0][:9], []string{"time", "agent", "path", "site", "target", "df_ok_count", "df_ok_max", "df_ok_min", "df_ok_sum"}; !slices.Equal(got, want) {
		t.Errorf("columns %v", got)
	}
	if len(table) != 1+2*25 {
		t.Errorf("%d lines", len(table))
	}
	var out bytes.Buffer
	write(t, s, export.Request{Format: export.LP, Level: rollup.Day, Range: r, Output: export.Stdout, Stdout: &out})
	if text := out.String(); !strings.Contains(text, "lost_count=") || !strings.Contains(text, "rtt_median_seconds_sketch=\"") || !strings.Contains(text, " 1795564800000000000\n") {
		t.Errorf("windows as lines:\n%s", text)
	}
}

func readCSVPlain(t *testing.T, file string) [][]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// failing is a source that breaks off.
type failing struct {
	portion.Source
	left int
}

var errBroken = errors.New("broken")

func (f *failing) Select(ctx context.Context, q store.Query, each func(store.Series) error) error {
	if f.left--; f.left < 0 {
		return errBroken
	}
	return f.Source.Select(ctx, q, each)
}

func TestWhatIsCutOffIsNotLeftBehind(t *testing.T) {
	s := open(t)
	fill(t, s)
	for _, f := range []export.Format{export.LP, export.CSV, export.Parquet} {
		dir := t.TempDir()
		output := filepath.Join(dir, "out")
		_, err := export.Write(t.Context(), &failing{s, 40}, export.Request{Format: f, Range: day, Output: output})
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", f, err)
		}
		if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if !d.IsDir() && (f == export.LP || strings.HasPrefix(d.Name(), "icmp")) || strings.HasSuffix(path, ".part") {
				t.Errorf("%s: %s is there", f, path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	_, err := export.Write(t.Context(), &failing{s, 40}, export.Request{Format: export.LP, Range: day, Output: export.Stdout, Stdout: &out})
	if !errors.Is(err, errBroken) || out.Len() == 0 || strings.Contains(out.String(), export.Ending) {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
}

func TestRefusals(t *testing.T) {
	s := open(t)
	fill(t, s)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one := day
	one.Measurements = []string{"imcp"}
	for want, r := range map[string]export.Request{
		"--format":                  {Format: "xml", Range: day, Output: full},
		"--from":                    {Format: export.LP, Range: portion.Range{From: now, To: now}, Output: full},
		"is not empty":              {Format: export.CSV, Range: day, Output: full},
		"is there already":          {Format: export.LP, Range: day, Output: filepath.Join(full, "x")},
		"takes the CSV of one":      {Format: export.CSV, Range: day, Output: export.Stdout},
		"not written to standard":   {Format: export.Parquet, Range: day, Output: export.Stdout},
		`there is no "imcp"; there`: {Format: export.LP, Range: one, Output: export.Stdout, Stdout: io.Discard},
	} {
		if _, err := export.Write(t.Context(), s, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
}

// socket serves a source as a collector does, and returns a client of it.
func socket(t *testing.T, h http.Handler) remote.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return remote.Client{HTTP: &http.Client{Transport: transport}}
}

func TestThroughTheSocket(t *testing.T) {
	s := open(t)
	fill(t, s)
	c := socket(t, remote.Handler(s))
	for _, level := range append(rollup.Levels(), rollup.Raw) {
		var direct, through bytes.Buffer
		r := export.Request{Format: export.LP, Level: level, Range: day, Output: export.Stdout, Stdout: &direct}
		r.Range.From = now.Add(-60 * 24 * time.Hour)
		write(t, s, r)
		r.Stdout = &through
		write(t, c, r)
		if direct.String() != through.String() || strings.Count(direct.String(), "\n") < 3 {
			t.Errorf("%s: %d bytes through the socket, %d without", level, through.Len(), direct.Len())
		}
	}
	err := c.Select(t.Context(), store.Query{Measurement: "icmp", From: day.From, To: day.To, MaxPoints: 10}, func(store.Series) error { return nil })
	if !errors.Is(err, store.ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
	err = c.Select(t.Context(), store.Query{From: day.From, To: day.To}, func(store.Series) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "query without a measurement") {
		t.Errorf("error of the store: %v", err)
	}
}

func TestACutAnswerIsNoticed(t *testing.T) {
	s := open(t)
	fill(t, s)
	whole := remote.Handler(s)
	for _, keep := range []float64{0, 0.5, 0.98} {
		c := socket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			whole.ServeHTTP(rec, r)
			_, _ = w.Write(rec.Body.Bytes()[:int(keep*float64(rec.Body.Len()))])
		}))
		err := c.Select(t.Context(), store.Query{Measurement: "icmp", From: day.From, To: day.To}, func(store.Series) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%v of an answer: %v", keep, err)
		}
	}
}
