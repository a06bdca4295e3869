package influxdb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"communewatch/collector/cmd/communewatch-collector/influxdb"
	"communewatch/collector/store/influx/standin"
	"communewatch/collector/store/influxd"
)

// run runs `influx ARGS` with a settings file and returns what it prints and what is wrong.
func run(t *testing.T, file string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := influxdb.New(func() string { return file })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func holds(t *testing.T, text string, err error, words ...string) {
	t.Helper()
	all := text + fmt.Sprint(err)
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("lacks %q:\n%s", w, all)
		}
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func start(t *testing.T, auth bool) *influxd.Server {
	t.Helper()
	s, err := influxd.New(influxd.Options{Dir: t.TempDir(), Auth: auth})
	if err == nil {
		err = s.Start(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func TestARealServerWithUsers(t *testing.T) {
	s := start(t, true)
	dir := t.TempDir()
	settings := write(t, dir, "collector.yaml", "store: influx\ninflux: {url: "+s.URL()+", token_file: login}\nretention: 1440h\n")
	text, err := run(t, settings, "setup", "--user", "collector")
	holds(t, text, err, "create admin user first", "--admin-token-file")

	// What an administrator does once.
	admin := write(t, dir, "admin", "root:S3cret\n")
	makeAdmin(t, s.URL())
	text, err = run(t, settings, "setup", "--admin-token-file", admin, "--user", "collector", "--dry-run")
	holds(t, text, err, "would make  database communewatch_1mo", "kept 1830 days", "would make  user collector", "<nil>")
	text, err = run(t, settings, "setup", "--admin-token-file", admin, "--user", "collector")
	holds(t, text, err, "made  database communewatch ", "kept 60 days", "made  user collector", "<nil>")
	login, err := os.ReadFile(filepath.Join(dir, "login"))
	if err != nil {
		t.Fatal(err)
	}
	if password := strings.TrimSpace(strings.TrimPrefix(string(login), "collector:")); len(password) < 20 || strings.Contains(text, password) {
		t.Errorf("the password is short, or was printed: %q in %s", password, text)
	}
	text, err = run(t, settings, "setup", "--admin-token-file", admin, "--user", "collector")
	holds(t, text, err, "nothing had to be made or changed", "<nil>")
	text, err = run(t, settings, "check")
	holds(t, text, err, "ok     server", "ok     database communewatch_5m: may be read and written", "<nil>")
	var got struct {
		OK       bool
		Findings []struct{ Severity, Part, Name, What, Fix string }
	}
	text, err = run(t, settings, "check", "--json")
	if jsonErr := json.Unmarshal([]byte(text), &got); jsonErr != nil || err != nil || !got.OK || len(got.Findings) < 10 {
		t.Errorf("%v %v %s", jsonErr, err, text)
	}

	// A shorter retention in the settings.
	write(t, dir, "collector.yaml", "store: influx\ninflux: {url: "+s.URL()+", token_file: login}\nretention: 1000h\n")
	text, err = run(t, settings, "setup", "--admin-token-file", admin, "--user", "collector")
	holds(t, text, err, "differs  database communewatch ", "kept 60 days", "--alter keeps it 1000h", "nothing stored is that old yet", "left as it is")
	text, err = run(t, settings, "setup", "--admin-token-file", admin, "--user", "collector", "--alter", "--json")
	holds(t, text, err, `"state": "changed"`, `"is": "was kept 60 days"`, "<nil>")

	for _, c := range []struct{ login, want string }{
		{"", "influx.token_file is missing"},
		{"collector:nonsense", "setup --admin-token-file FILE --user collector --alter gives the user"},
		{"nonsense", "--user NAME --alter"},
	} {
		if c.login == "" {
			if err := os.Remove(filepath.Join(dir, "login")); err != nil {
				t.Fatal(err)
			}
		} else {
			write(t, dir, "login", c.login)
		}
		text, err = run(t, settings, "check")
		holds(t, text, err, c.want, "--admin-token-file", "must be put right")
		if strings.Contains(text, "nonsense") || c.login == "" && strings.Contains(text, "may not") {
			t.Errorf("%q: %s", c.login, text)
		}
	}
	// What it says to do helps.
	text, err = run(t, settings, "setup", "--admin-token-file", admin, "--user", "collector", "--alter")
	holds(t, text, err, "changed  user collector", "<nil>")
	text, err = run(t, settings, "check")
	holds(t, text, err, "may be read and written", "<nil>")

	s.Kill()
	text, err = run(t, settings, "check", "--json")
	holds(t, text, err, `"ok": false`, "does not answer", "must be put right")
}

func makeAdmin(t *testing.T, url string) {
	t.Helper()
	resp, err := httpPost(url+"/query", "q=CREATE+USER+root+WITH+PASSWORD+'S3cret'+WITH+ALL+PRIVILEGES")
	if err != nil || resp != 200 {
		t.Fatal(resp, err)
	}
}

func TestStandInsOf2And3(t *testing.T) {
	backend := start(t, false)
	for name, o := range map[string]standin.Options{
		"2.x": {Generation: standin.V2}, "3 Core": {Generation: standin.V3}, "3 Enterprise": {Generation: standin.V3, Enterprise: true},
	} {
		o.Backend, o.Prefix = backend.URL(), strings.NewReplacer(" ", "", ".", "").Replace(name)+"_"
		s := standin.New(o)
		server := httptest.NewServer(s)
		dir := t.TempDir()
		settings := write(t, dir, "collector.yaml", "store: influx\ninflux: {url: "+server.URL+", token_file: token, org: tinh}\n")
		admin := write(t, dir, "admin", s.AdminToken())
		text, err := run(t, settings, "setup")
		holds(t, text, err, "--admin-token-file")
		text, err = run(t, settings, "setup", "--admin-token-file", admin)
		holds(t, text, err, "made  token communewatch-collector", "communewatch_1mo", "<nil>")
		token, err := os.ReadFile(filepath.Join(dir, "token"))
		if err != nil || strings.Contains(text, strings.TrimSpace(string(token))) {
			t.Errorf("%s: the token is missing or was printed: %v\n%s", name, err, text)
		}
		text, err = run(t, settings, "setup", "--admin-token-file", admin)
		holds(t, text, err, "nothing had to be made or changed", "<nil>")
		text, err = run(t, settings, "check")
		holds(t, text, err, "may be read and written", "<nil>")
		s.Revoke(strings.TrimSpace(string(token)))
		text, err = run(t, settings, "check")
		holds(t, text, err, "wrong", "must be put right")
		server.Close()
	}
}

func TestMistakesInFlagsAndSettings(t *testing.T) {
	dir := t.TempDir()
	empty := write(t, dir, "empty", "")
	settings := write(t, dir, "collector.yaml", "influx: {url: 'http://127.0.0.1:1'}\n")
	for _, c := range []struct {
		file string
		args []string
		want string
	}{
		{filepath.Join(dir, "none.yaml"), []string{"setup"}, "--config FILE"},
		{write(t, dir, "bad.yaml", "influx: {url: 'ftp://x'}\n"), []string{"check"}, "influx.url"},
		{settings, []string{"setup", "--admin-token-file", filepath.Join(dir, "none")}, "--admin-token-file"},
		{settings, []string{"setup", "--admin-token-file", empty}, "is empty"},
		{settings, []string{"setup", "--password-file", settings}, "goes with --user"},
		{settings, []string{"setup", "more"}, "unknown command"},
		{settings, []string{"setup"}, "is InfluxDB running"},
		{settings, []string{"check"}, "is InfluxDB running"},
	} {
		text, err := run(t, c.file, c.args...)
		if err == nil {
			t.Errorf("%v: no error", c.args)
		}
		holds(t, text, err, c.want)
	}
}

func httpPost(url, form string) (int, error) {
	resp, err := http.Post(url, "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
