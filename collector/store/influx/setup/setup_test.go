package setup_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influx/standin"
	"communewatch/collector/store/influxd"
)

const day = 24 * time.Hour

// open is a real server that asks nobody who they are. It serves all tests.
var open *influxd.Server

const adminUser = "admin:Very secret 'quoted'"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "influx-setup")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	if open, err = influxd.New(influxd.Options{Dir: folder}); err == nil {
		err = open.Start(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer open.Kill()
	return m.Run()
}

// startGuarded starts a real server that wants user and password, and has nobody yet.
func startGuarded(t *testing.T) *influxd.Server {
	t.Helper()
	s, err := influxd.New(influxd.Options{Dir: t.TempDir(), Auth: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

const makeAdmin = "CREATE USER admin WITH PASSWORD 'Very secret \\'quoted\\'' WITH ALL PRIVILEGES"

// influxql executes a statement on a real server.
func influxql(t *testing.T, server, user, db, q string) string {
	t.Helper()
	req, err := http.NewRequest("POST", server+"/query", strings.NewReader(url.Values{"q": {q}, "db": {db}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if name, password, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(name, password)
	} else if user != "" {
		req.Header.Set("Authorization", "Token "+user)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, text)
}

// write stores lines with times in milliseconds.
func write(t *testing.T, server, token, db, lines string) string {
	t.Helper()
	req, err := http.NewRequest("POST", server+"/api/v2/write?precision=ms&org=tinh&bucket="+db, strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	return do(t, req)
}

// options are those of a province, with a database of the test's own.
func options(t *testing.T, server string) setup.Options {
	c := influx.DefaultConfig()
	c.URL, c.Database = server, "t"+strings.ToLower(regexp.MustCompile(`\W`).ReplaceAllString(t.Name(), ""))[4:]
	return setup.Options{Config: c, Keep: map[rollup.Level]time.Duration{
		rollup.Raw: 90 * day, rollup.FiveMinutes: 366 * day, rollup.Hour: 1830 * day, rollup.Day: 1830 * day, rollup.Month: 1830 * day,
	}, Ours: []string{"line"}}
}

func mustSetup(t *testing.T, o setup.Options) setup.Report {
	t.Helper()
	r, err := setup.Setup(t.Context(), o)
	if err != nil {
		t.Fatalf("%v after %+v", err, r.Steps)
	}
	return r
}

// states counts what became of things.
func states(r setup.Report) map[setup.State]int {
	n := map[setup.State]int{}
	for _, s := range r.Steps {
		n[s.State]++
	}
	return n
}

// step finds one by part and the end of its name.
func step(t *testing.T, r setup.Report, part, name string) setup.Step {
	t.Helper()
	for _, s := range r.Steps {
		if s.Part == part && strings.HasSuffix(s.Name, name) {
			return s
		}
	}
	t.Fatalf("no step %s %s in %+v", part, name, r.Steps)
	return setup.Step{}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// secret reads what was written for the collector, which must be closed to others.
func secret(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("%s is %v", path, info.Mode())
	}
	return strings.TrimSuffix(string(b), "\n")
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %q", err, w)
		}
	}
}

func TestSetup18MakesDatabasesOnce(t *testing.T) {
	o := options(t, open.URL())
	o.DryRun = true
	if n := states(mustSetup(t, o)); n[setup.WouldMake] != 5 || n[setup.Made] != 0 {
		t.Error("dry run:", n)
	}
	if got := influxql(t, open.URL(), "", "", "SHOW DATABASES"); strings.Contains(got, o.Config.Database) {
		t.Error("a dry run made databases:", got)
	}
	o.DryRun = false
	r := mustSetup(t, o)
	if n := states(r); n[setup.Made] != 5 || !r.Changed() || r.Differs() {
		t.Errorf("%+v", r.Steps)
	}
	for db, want := range map[string]string{
		"": `["autogen","2160h0m0s","24h0m0s",1,true]`, "_5m": `["autogen","8784h0m0s","168h0m0s",1,true]`, "_1h": `["autogen","43920h0m0s","720h0m0s",1,true]`,
		"_1d": `["autogen","43920h0m0s","4320h0m0s",1,true]`, "_1mo": `["autogen","43920h0m0s","8760h0m0s",1,true]`,
	} {
		if got := influxql(t, open.URL(), "", "", fmt.Sprintf("SHOW RETENTION POLICIES ON %q", o.Config.Database+db)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", db, got, want)
		}
	}
	if r := mustSetup(t, o); r.Changed() || r.Differs() {
		t.Errorf("the second time: %+v", r.Steps)
	}
}

func TestSetup18ChangesRetentionOnlyWhenAsked(t *testing.T) {
	o := options(t, open.URL())
	mustSetup(t, o)
	old := time.Now().Add(-80 * day)
	if got := write(t, open.URL(), "", o.Config.Database, fmt.Sprintf("icmp,site=a lost=1 %d\nicmp,site=a lost=2 %d", old.UnixMilli(), time.Now().UnixMilli())); !strings.HasPrefix(got, "204") {
		t.Fatal(got)
	}
	o.Keep[rollup.Raw] = 30 * day
	o.Keep[rollup.Hour] = 2000 * day
	r := mustSetup(t, o)
	raw, hour := step(t, r, "database", o.Config.Database), step(t, r, "database", "_1h")
	if raw.State != setup.Differs || raw.Is != "kept 90 days" || !strings.Contains(raw.Fix, "30 days; this DELETES what is stored from "+old.UTC().Format(time.DateOnly)) {
		t.Errorf("%+v", raw)
	}
	if hour.State != setup.Differs || strings.Contains(hour.Fix, "DELETES") {
		t.Errorf("%+v", hour)
	}
	rows := func() int {
		return strings.Count(influxql(t, open.URL(), "", o.Config.Database, "SELECT lost FROM icmp"), "Z\",")
	}
	if rows() != 2 {
		t.Error("rows are gone though nothing was asked for")
	}
	o.Alter, o.DryRun = true, true
	if n := states(mustSetup(t, o)); n[setup.WouldChange] != 2 {
		t.Error("dry run:", n)
	}
	o.DryRun = false
	if n := states(mustSetup(t, o)); n[setup.Altered] != 2 || n[setup.There] != 4 {
		t.Error(n)
	}
	if r := mustSetup(t, o); r.Changed() {
		t.Errorf("the second time: %+v", r.Steps)
	}
	if got := influxql(t, open.URL(), "", "", fmt.Sprintf("SHOW RETENTION POLICIES ON %q", o.Config.Database)); !strings.Contains(got, `"720h0m0s"`) {
		t.Error(got)
	}
}

func TestSetup18MakesAUserForTheCollectorAlone(t *testing.T) {
	s := startGuarded(t)
	o := options(t, s.URL())
	o.Config.TokenFile, o.User = file(t, "token", ""), "collector"
	_, err := setup.Setup(t.Context(), o)
	wantError(t, err, "--admin-token-file", "CREATE USER")

	if got := influxql(t, s.URL(), "", "", makeAdmin); !strings.HasPrefix(got, "200") {
		t.Fatal(got)
	}
	_, err = setup.Setup(t.Context(), o)
	wantError(t, err, "--admin-token-file")
	o.Admin = adminUser
	influxql(t, s.URL(), adminUser, "", "CREATE DATABASE other")
	if r := mustSetup(t, o); states(r)[setup.Made] != 5+1+5 {
		t.Errorf("%+v", r.Steps)
	}
	made := secret(t, o.Config.TokenFile)
	if !regexp.MustCompile(`^collector:[A-Z2-7]{26}$`).MatchString(made) {
		t.Errorf("wrote %q", made)
	}
	for q, refused := range map[string]bool{
		"SELECT * FROM icmp": false, "CREATE DATABASE more": true, "SHOW USERS": true, "DROP DATABASE " + o.Config.Database: true,
		"SHOW MEASUREMENTS ON other": true,
	} {
		if got := influxql(t, s.URL(), made, o.Config.Database, q); strings.HasPrefix(got, "403") != refused {
			t.Errorf("%s as the collector: %s", q, got)
		}
	}
	if got := write(t, s.URL(), made, o.Config.DatabaseOf(rollup.Month), "icmp,site=a lost_sum=1"); !strings.HasPrefix(got, "204") {
		t.Error(got)
	}
	if got := write(t, s.URL(), made, "other", "icmp,site=a lost_sum=1"); !strings.HasPrefix(got, "403") {
		t.Error(got)
	}

	// The second time nothing is made, with an administrator or as the collector itself.
	if r := mustSetup(t, o); r.Changed() || r.Differs() || secret(t, o.Config.TokenFile) != made {
		t.Errorf("the second time: %+v", r.Steps)
	}
	alone := o
	alone.Admin, alone.User = "", ""
	if r := mustSetup(t, alone); r.Changed() || r.Differs() {
		t.Errorf("as the collector: %+v", r.Steps)
	}

	// A password that is not known any more.
	if err := os.WriteFile(o.Config.TokenFile, []byte("collector:wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := step(t, mustSetup(t, o), "user", "collector"); got.State != setup.Differs {
		t.Errorf("%+v", got)
	}
	o.Alter, o.Password = true, "another one"
	_, err = setup.Setup(t.Context(), o)
	wantError(t, err, "no spaces")
	o.Password = `an'other\one`
	if got := step(t, mustSetup(t, o), "user", "collector"); got.State != setup.Altered {
		t.Errorf("%+v", got)
	}
	if got := secret(t, o.Config.TokenFile); got != "collector:"+o.Password {
		t.Error(got)
	}
	if r := mustSetup(t, o); r.Changed() {
		t.Errorf("%+v", r.Steps)
	}
	if v := setup.Check(t.Context(), o); v.Wrong() {
		t.Errorf("%+v", v.Findings)
	}
	// Nobody but an administrator can do this; and a secret that could not be kept is not made.
	o.Alter, o.User, o.Config.TokenFile = false, "second", filepath.Join(t.TempDir(), "no", "folder")
	_, err = setup.Setup(t.Context(), o)
	wantError(t, err, "token_file")
	if got := influxql(t, s.URL(), adminUser, "", "SHOW USERS"); strings.Contains(got, "second") {
		t.Error("a user was made whose password nobody has:", got)
	}
}

// startStandIn starts one that has no databases yet.
func startStandIn(t *testing.T, so standin.Options) (*standin.Server, setup.Options) {
	t.Helper()
	so.Backend, so.Prefix = open.URL(), strings.ToLower(t.Name())[4:]+"_"
	s := standin.New(so)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o := options(t, server.URL)
	o.Config.Database, o.Config.TokenFile, o.Admin = "communewatch", file(t, "token", ""), s.AdminToken()
	if so.Generation == standin.V2 {
		o.Config.Org = s.Org()
	}
	return s, o
}

func TestSetup2MakesBucketsMappingsAndAToken(t *testing.T) {
	s, o := startStandIn(t, standin.Options{Generation: standin.V2})
	if err := s.MakeDatabase("other", 0); err != nil {
		t.Fatal(err)
	}
	bad := o
	bad.Config.Org = "none"
	_, err := setup.Setup(t.Context(), bad)
	wantError(t, err, `"none"`, "influx org list")
	bad = o
	bad.Admin = ""
	_, err = setup.Setup(t.Context(), bad)
	wantError(t, err, "--admin-token-file")
	bad.Admin = "unknown"
	_, err = setup.Setup(t.Context(), bad)
	wantError(t, err, "401", "--admin-token-file")

	o.DryRun = true
	if n := states(mustSetup(t, o)); n[setup.WouldMake] != 11 || len(s.Databases()) != 1 {
		t.Error("dry run:", n, s.Databases())
	}
	o.DryRun = false
	if r := mustSetup(t, o); states(r)[setup.Made] != 11 {
		t.Errorf("%+v", r.Steps)
	}
	if got := s.Databases(); got["communewatch"] != 90*day || got["communewatch_1mo"] != 1830*day || len(got) != 6 {
		t.Error(got)
	}
	token := secret(t, o.Config.TokenFile)
	if got := write(t, o.Config.URL, token, "communewatch_1h", "icmp,site=a lost_sum=1"); !strings.HasPrefix(got, "204") {
		t.Error(got)
	}
	if got := write(t, o.Config.URL, token, "other", "icmp,site=a lost_sum=1"); !strings.HasPrefix(got, "403") {
		t.Error(got)
	}
	if got := influxql(t, o.Config.URL, token, "communewatch_1h", "SELECT * FROM icmp"); !strings.Contains(got, "lost_sum") {
		t.Error("InfluxQL does not find the bucket:", got)
	}

	if r := mustSetup(t, o); r.Changed() || r.Differs() || secret(t, o.Config.TokenFile) != token {
		t.Errorf("the second time: %+v", r.Steps)
	}
	own := o
	own.Admin = ""
	if r := mustSetup(t, own); r.Changed() || r.Differs() {
		t.Errorf("with the collector's own token: %+v", r.Steps)
	}
	o.Keep[rollup.Raw] = 60 * day
	if got := step(t, mustSetup(t, o), "bucket", "communewatch"); got.State != setup.Differs || !strings.Contains(got.Fix, "DELETES what is older than") {
		t.Errorf("%+v", got)
	}
	if s.Databases()["communewatch"] != 90*day {
		t.Error("changed without --alter")
	}
	s.Revoke(token)
	if got := step(t, mustSetup(t, o), "token", ""); got.State != setup.Differs {
		t.Errorf("%+v", got)
	}
	o.Alter = true
	if n := states(mustSetup(t, o)); n[setup.Altered] != 2 || s.Databases()["communewatch"] != 60*day {
		t.Error(n, s.Databases())
	}
	if v := setup.Check(t.Context(), o); v.Wrong() {
		t.Errorf("%+v", v.Findings)
	}
	o.User = "x"
	_, err = setup.Setup(t.Context(), o)
	wantError(t, err, "--user is for 1.8")
}

func TestSetup2LeavesAMappingThatIsSomebodyElses(t *testing.T) {
	s, o := startStandIn(t, standin.Options{Generation: standin.V2})
	if err := s.MakeDatabase("communewatch", 90*day); err != nil {
		t.Fatal(err)
	}
	if err := s.MakeDatabase("other", 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Map("communewatch", "other"); err != nil {
		t.Fatal(err)
	}
	if got := step(t, mustSetup(t, o), "mapping", "communewatch"); got.State != setup.Differs || !strings.Contains(got.Fix, "dbrp delete") {
		t.Errorf("%+v", got)
	}
	v := setup.Check(t.Context(), o)
	if !slices.ContainsFunc(v.Findings, func(f setup.Finding) bool {
		return f.Severity == setup.Wrong && strings.Contains(f.What, "another bucket")
	}) {
		t.Errorf("%+v", v.Findings)
	}
}

func TestSetup3Core(t *testing.T) {
	s, o := startStandIn(t, standin.Options{Generation: standin.V3})
	if r := mustSetup(t, o); states(r)[setup.Made] != 6 || !strings.Contains(step(t, r, "token", "").Is, "Core has no other tokens") {
		t.Errorf("%+v", r.Steps)
	}
	if got := s.Databases(); got["communewatch"] != 90*day || got["communewatch_5m"] != 366*day || len(got) != 5 {
		t.Error(got)
	}
	token := secret(t, o.Config.TokenFile)
	if token == o.Admin {
		t.Error("the administrator's own token was written down")
	}
	for _, alter := range []bool{false, true} {
		o.Alter = alter
		r := mustSetup(t, o)
		if r.Changed() || states(r)[setup.Unknown] != 5 || !strings.Contains(step(t, r, "database", "_5m").Fix, "should be kept 366 days") {
			t.Errorf("%+v", r.Steps)
		}
	}
	if v := setup.Check(t.Context(), o); v.Wrong() {
		t.Errorf("%+v", v.Findings)
	}

	o.Config.Database, o.Config.TokenFile = "second", file(t, "token", "")
	_, err := setup.Setup(t.Context(), o)
	wantError(t, err, "5 databases at most", "communewatch_1mo")
	o.Config.Database = "se.cond"
	_, err = setup.Setup(t.Context(), o)
	wantError(t, err, "influx.database")
	o.Config.Database, o.Admin = "second", ""
	_, err = setup.Setup(t.Context(), o)
	wantError(t, err, "--admin-token-file")
}

func TestSetup3EnterpriseMakesATokenForItsDatabases(t *testing.T) {
	s, o := startStandIn(t, standin.Options{Generation: standin.V3, Enterprise: true})
	if err := s.MakeDatabase("other", 0); err != nil {
		t.Fatal(err)
	}
	if r := mustSetup(t, o); states(r)[setup.Made] != 6 {
		t.Errorf("%+v", r.Steps)
	}
	token := secret(t, o.Config.TokenFile)
	if got := write(t, o.Config.URL, token, "communewatch_1d", "icmp,site=a lost_sum=1"); !strings.HasPrefix(got, "204") {
		t.Error(got)
	}
	if got := write(t, o.Config.URL, token, "other", "icmp,site=a lost_sum=1"); !strings.HasPrefix(got, "403") {
		t.Error(got)
	}
	if r := mustSetup(t, o); r.Changed() || secret(t, o.Config.TokenFile) != token {
		t.Errorf("%+v", r.Steps)
	}
	o.Keep[rollup.Raw], o.Alter = 100*day, true
	mustSetup(t, o)
	if got := s.Databases()["communewatch"]; got != 100*day {
		t.Error(got)
	}
	if v := setup.Check(t.Context(), o); v.Wrong() {
		t.Errorf("%+v", v.Findings)
	}
}

func TestSetupSaysWhatIsNoInfluxDB(t *testing.T) {
	for words, answer := range map[string]http.HandlerFunc{
		"not as InfluxDB":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"1.8, 2.x and 3.x": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Influxdb-Version", "1.7.11") },
		"302": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		},
		"wants a token": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		server := httptest.NewServer(answer)
		_, err := setup.Setup(t.Context(), options(t, server.URL))
		wantError(t, err, words)
		server.Close()
	}
	server := httptest.NewServer(nil)
	server.Close()
	_, err := setup.Setup(t.Context(), options(t, server.URL))
	wantError(t, err, "is InfluxDB running")
	if v := setup.Check(t.Context(), options(t, server.URL)); !v.Wrong() {
		t.Error("a server that is away is fine:", v)
	}
}
