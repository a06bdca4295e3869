package setup_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"communewatch/collector/rollup"
	"communewatch/collector/store/influx"
	"communewatch/collector/store/influx/setup"
	"communewatch/collector/store/influx/standin"
)

// found wants a finding of this severity whose words hold what; and that it says what to do.
func found(t *testing.T, v setup.Verdict, s setup.Severity, part, what string) {
	t.Helper()
	for _, f := range v.Findings {
		if f.Severity == s && f.Part == part && strings.Contains(f.Name+" "+f.What, what) {
			if f.Fix == "" && s == setup.Wrong {
				t.Errorf("%+v does not say what to do", f)
			}
			return
		}
	}
	t.Errorf("nothing says %s %s %q: %+v", s, part, what, v.Findings)
}

func TestCheckFindsWhatIsMissingAndLeavesNothingBehind(t *testing.T) {
	o := options(t, open.URL())
	v := setup.Check(t.Context(), o)
	for _, l := range append(rollup.Levels(), rollup.Raw) {
		found(t, v, setup.Wrong, "database", o.Config.DatabaseOf(l)+" it is not there")
	}
	mustSetup(t, o)
	for range 2 {
		if v = setup.Check(t.Context(), o); v.Wrong() || v.Server.Generation != 1 {
			t.Errorf("%+v", v)
		}
	}
	found(t, v, setup.Note, "server", "asks nobody")
	for _, l := range append(rollup.Levels(), rollup.Raw) {
		if got := influxql(t, open.URL(), "", o.Config.DatabaseOf(l), "SHOW SERIES"); strings.Contains(got, "values") {
			t.Error("something was left behind:", got)
		}
	}
	o.Keep[rollup.Raw], o.Keep[rollup.Day] = 91*day, 100*day
	v = setup.Check(t.Context(), o)
	found(t, v, setup.Wrong, "database", "keeps rows 90 days, the settings say 91 days: older ones are deleted")
	found(t, v, setup.Note, "database", "keeps rows 1830 days, the settings say 100 days: it takes more room")
}

func TestCheckFindsOtherWriters(t *testing.T) {
	o := options(t, open.URL())
	mustSetup(t, o)
	raw, hourly := o.Config.Database, o.Config.DatabaseOf(rollup.Hour)
	write(t, open.URL(), "", raw, "icmp,site=a,agent=pc,target=hub,path=lan lost=1\ncheck,site=a outcome=\"ok\",up=1")
	write(t, open.URL(), "", hourly, "line,site=a,layer=lan keys=\"lost\",lost_sum=1,lost_count=1,lost_min=1,lost_max=1,lost_p95=1,lost_sketch=\"x\",off_total=1,note=\"x\"")
	if v := setup.Check(t.Context(), o); v.Wrong() {
		t.Fatalf("the collector's own rows are wrong: %+v", v.Findings)
	}
	write(t, open.URL(), "", raw, "\x1b[31m"+strings.Repeat("m", 2000)+" f=1")
	if v := fmt.Sprint(setup.Check(t.Context(), o)); strings.Contains(v, "\x1b") || strings.Contains(v, strings.Repeat("m", 100)) || !strings.Contains(v, "?[31mmm") {
		t.Errorf("a name from outside is printed as it came: %q", v)
	}
	influxql(t, open.URL(), "", raw, "DROP MEASUREMENT \"\x1b[31m"+strings.Repeat("m", 2000)+"\"")
	write(t, open.URL(), "", raw, "cpu,host=x busy=1\nicmp,site=b,session=12345 lost=1\ndns,agent=x answers=5i")
	write(t, open.URL(), "", hourly, "mem,host=x free=1\nicmp,site=a lost_sum=5i,keys=\"lost\",rtt_seconds_sketch=1")
	o.MaxSeries = 4
	v := setup.Check(t.Context(), o)
	found(t, v, setup.Note, "writers", raw+" has measurements that are not of the contract: cpu")
	found(t, v, setup.Wrong, "writers", "icmp.session")
	found(t, v, setup.Wrong, "writers", "dns.answers is integer")
	found(t, v, setup.Wrong, "writers", "rows without a site in our measurements: dns")
	found(t, v, setup.Wrong, "writers", "5 series, more than 4: icmp has 2")
	found(t, v, setup.Wrong, "writers", "refuses the collector's windows (texts, or floats): icmp.lost_sum is integer, icmp.rtt_seconds_sketch is float")
	found(t, v, setup.Wrong, "writers", hourly+" has measurements that the collector does not put there: mem")
}

func TestCheckLooksAtClockAndTokenFile(t *testing.T) {
	o := options(t, open.URL())
	mustSetup(t, o)
	o.Config.TokenFile = file(t, "token", "x:y z\n")
	if err := os.Chmod(o.Config.TokenFile, 0o644); err != nil {
		t.Fatal(err)
	}
	for off, want := range map[time.Duration]setup.Severity{0: setup.Good, 20 * time.Second: setup.Note, -5 * time.Minute: setup.Wrong} {
		o.Now = func() time.Time { return time.Now().Add(off) }
		v := setup.Check(t.Context(), o)
		found(t, v, want, "clock", "ours")
		found(t, v, setup.Note, "token", "others on this machine")
		found(t, v, setup.Wrong, "token", "space")
	}
}

func TestCheckOfATokenThatMayTooLittle(t *testing.T) {
	s, o := startStandIn(t, standin.Options{Generation: standin.V2})
	mustSetup(t, o)
	half := s.MakeToken("communewatch", "communewatch_5m", "communewatch_1h", "communewatch_1d")
	for token, want := range map[string]string{half: "communewatch_1mo it is not there, or the token does not see it", "unknown": "communewatch the token may not read it"} {
		if err := os.WriteFile(o.Config.TokenFile, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		found(t, setup.Check(t.Context(), o), setup.Wrong, "database", want)
	}
	s3, o := startStandIn(t, standin.Options{Generation: standin.V3})
	o.Config.TokenFile = file(t, "token", s3.AdminToken())
	before := len(s3.Databases())
	v := setup.Check(t.Context(), o)
	found(t, v, setup.Wrong, "database", "communewatch it is not there")
	found(t, v, setup.Note, "server", "72 hours")
	if len(s3.Databases()) != before {
		t.Error("a look made databases:", s3.Databases())
	}
}

// Whatever a server answers, nothing breaks, and nothing but what was configured is asked.
func FuzzAnswers(f *testing.F) {
	for _, version := range []string{"1.8.10", "v2.7.1", "3.1.0", "unknown", "9"} {
		f.Add(version, 200, `{"results":[{"series":[{"name":"x","columns":["name","duration","default"],"values":[["a","1h",true],["b"],[]]}]}]}`)
		f.Add(version, 204, "")
		f.Add(version, 404, `{"error":5}`)
	}
	f.Add("2.0.0", 200, `{"orgs":[{"id":"1","name":"tinh"}],"buckets":[{"id":"2","name":"x"}],"content":[{"database":"x","default":true}],"authorizations":[{"id":"1"}]}`)
	f.Add("3.0.0", 200, `[{"iox::database":"x"},{"iox::database":7},null]`)
	f.Fuzz(func(t *testing.T, version string, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip()
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Influxdb-Version", version)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		defer server.Close()
		c := influx.DefaultConfig()
		c.URL, c.Org, c.Database, c.TokenFile = server.URL, "tinh", "x", t.TempDir()+"/token"
		o := setup.Options{Config: c, Keep: map[rollup.Level]time.Duration{rollup.Raw: day}, Admin: "t", Alter: true}
		_, _ = setup.Setup(t.Context(), o)
		if v := setup.Check(t.Context(), o); len(v.Findings) == 0 {
			t.Error("found nothing at all")
		}
	})
}
