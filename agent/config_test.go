package agent

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"communewatch/agent/identity"
	"communewatch/agent/identity/identitytest"
	enrolment "communewatch/agent/identity/join"
	"communewatch/agent/kinds"
	"communewatch/probes"
	"communewatch/probes/dns"
	"communewatch/probes/h323"
	"communewatch/probes/http"
	"communewatch/probes/icmp"
	"communewatch/probes/machine"
	"communewatch/probes/sip"
	"communewatch/probes/snmp"
	"communewatch/probes/stun"
	"communewatch/probes/sweep"
	"communewatch/probes/tcp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Every bad config has a .want file beside it that holds all that is said about it.
func TestBadConfigsAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configs: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := ReadConfig(file)
			if err == nil {
				t.Fatal("was accepted")
			}
			got := filepath.ToSlash(err.Error()) + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

const exampleFile = "../deploy/examples/agent.yaml"

// example is the shipped example, of a machine that is enrolled as office-pc.
func example(t *testing.T) (dir, text string) {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	c := identitytest.NewCollector(t, time.Now)
	dir = t.TempDir()
	if _, err := enrolment.Enroll(t.Context(), enrolment.Options{Dir: identity.Folder(dir), Code: c.Code(), Agent: "office-pc"}); err != nil {
		t.Fatal(err)
	}
	c.Set(func(s *identitytest.State) {
		if err := os.WriteFile(filepath.Join(dir, "collector-ca.pem"), []byte(identitytest.PEM(s.Authority.Cert)), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	return dir, strings.Replace(string(data), "/var/lib/communewatch-agent", "'"+dir+"'", 1)
}

// The example is one of an enrolled machine, and shows each kind of check.
func TestShippedExampleIsValid(t *testing.T) {
	dir, text := example(t)
	cfg, err := ParseConfig(filepath.Join(dir, "agent.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Site != "s08707" || len(cfg.Collectors) != 1 || !cfg.Collectors[0].Identity {
		t.Errorf("site %s, collectors %+v: want those of the identity", cfg.Site, cfg.Collectors)
	}
	if _, err := New(cfg, Options{Log: quiet()}); err != nil {
		t.Fatal(err)
	}
	table, shown := kinds.Table(snmp.NewKit()), map[probes.Kind]bool{}
	for _, c := range cfg.Checks {
		shown[c.Kind] = true
	}
	if len(shown) != len(table) {
		t.Errorf("the example shows the kinds %v, want all %d", shown, len(table))
	}
	if !Unenrolled(exampleFile) {
		t.Error("a machine with the example does not wait to be enrolled")
	}
}

// commentedOut matches settings that are commented out; the prose of comments begins with exactly one space.
var commentedOut = regexp.MustCompile(`(?m)^( *)#(\S|  )`)

// The example shows every key, and what is commented out in it can be used as it stands.
func TestShippedExampleShowsEveryKey(t *testing.T) {
	t.Setenv("COMMUNEWATCH_TOKEN", "secret")
	dir, text := example(t)
	key, _, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "release.pub"), []byte(key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := strings.Replace(commentedOut.ReplaceAllString(text, "$1$2"), "keys: [KEY]", "keys: []", 1)
	cfg, err := ParseConfig(filepath.Join(dir, "agent.yaml"), []byte(all))
	if err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	if len(cfg.Collectors) != 3 || !cfg.Collectors[0].Identity || cfg.ways()[2].Token != "secret" || !cfg.Updates.On() || len(cfg.Allow.Kinds) == 0 {
		t.Errorf("%+v", cfg)
	}
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			look(typ.Elem())
		case reflect.Struct:
			for f := range typ.Fields() {
				if key := f.Tag.Get("yaml"); key != "" {
					if !regexp.MustCompile(`(?m)(^|[ {])` + key + `:`).MatchString(all) {
						t.Errorf("the example does not show %q", key)
					}
					look(f.Type)
				}
			}
		}
	}
	look(reflect.TypeFor[Config]())
}

func TestDefaultsAndFollowUps(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "agent.token"), []byte(" s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(dir, "agent.yaml"), []byte(`
site: s08707
agent: pc
collectors: [{url: "https://c.example", token_file: agent.token, path: dedicated}]
paths: {dedicated: {source: 10.1.2.3, hop: {ttl: 2, expect: [10.9.0.1, 10.8.7.6/16]}}}
checks:
  - {name: hub, kind: tcp, address: "10.0.0.1:443", path: dedicated}
  - {name: call, kind: tcp, address: "10.0.0.1:5061", path: dedicated, layer: conference, interval: 1m}
  - {name: room-sip, kind: sip, address: 10.1.2.4, path: lan}
  - {name: stun, kind: stun, address: 10.0.0.1, path: dedicated, layer: dedicated}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.ways()[0].Token; got != "s3cret" {
		t.Errorf("token %q was read from the file, want s3cret", got)
	}
	hub, call := cfg.Checks[0], cfg.Checks[1]
	if hub.Interval != 30*time.Second || hub.Layer != probes.LayerDedicated || call.Interval != time.Minute || call.Layer != probes.LayerConference {
		t.Errorf("defaults were not filled in: %+v, %+v", hub, call)
	}
	if room, stun := cfg.Checks[2], cfg.Checks[3]; room.Layer != probes.LayerConference || stun.Layer != probes.LayerDedicated {
		t.Errorf("layers %s and %s, want conference where nothing is said, and what is said", room.Layer, stun.Layer)
	}
	b := cfg.binding(probes.PathDedicated)
	if b.Source.String() != "10.1.2.3" || b.hop.TTL != 2 || fmt.Sprint(b.hop.Expect) != "[10.9.0.1/32 10.8.0.0/16]" {
		t.Errorf("binding %+v", b)
	}
	if other := cfg.binding(probes.PathLAN); other.Path != probes.PathLAN || other.Device != "" {
		t.Errorf("a path that is not named is bound to %+v", other)
	}
}

// Every key that a settings file may hold has its place on the docs page.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Slice, reflect.Map, reflect.Pointer:
			look(typ.Elem())
		case reflect.Struct:
			for f := range typ.Fields() {
				if key := f.Tag.Get("yaml"); key != "" {
					if !strings.Contains(string(page), key) {
						t.Errorf("docs/agent.md does not mention %q (%s)", key, typ)
					}
					look(f.Type)
				}
			}
		}
	}
	for _, v := range []any{Config{}, icmp.Options{}, tcp.Options{}, dns.Options{}, http.Options{}, machine.Options{}, sweep.Options{}, sip.Options{}, stun.Options{}, h323.Options{}} {
		look(reflect.TypeOf(v))
	}
	for _, o := range probes.OutcomeNames() {
		if o != probes.OutcomeCanceled.String() && !strings.Contains(string(page), "`"+o+"`") {
			t.Errorf("docs/agent.md does not explain the outcome %q", o)
		}
	}
}

func TestTooManyChecks(t *testing.T) {
	var b strings.Builder
	b.WriteString("site: s1\nagent: a\ncollectors: [{url: 'http://127.0.0.1:1', token: x}]\nchecks:\n")
	for i := range maxChecks + 1 {
		fmt.Fprintf(&b, "- {name: c%d, kind: tcp, address: '10.0.0.1:1', path: lan}\n", i)
	}
	_, err := ParseConfig("big.yaml", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "2001 checks are too many") {
		t.Errorf("got %v", err)
	}
}

func TestHostNames(t *testing.T) {
	for in, want := range map[string]string{
		"PC-07.office.local": "pc-07", "Máy tính 1": "m-y-t-nh-1", "": "agent", "...": "agent", "_x_": "x", strings.Repeat("a", 80): strings.Repeat("a", 63),
	} {
		got := cleanHostName(in)
		if got != want || probes.CheckName(got) != nil {
			t.Errorf("host %q makes the agent %q, want %q", in, got, want)
		}
	}
}

// What a file of settings says must never crash the agent.
func FuzzParseConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range append(files, exampleFile) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := ParseConfig("fuzz.yaml", data)
		if err != nil {
			return
		}
		if _, err := New(cfg, Options{Log: quiet()}); err != nil {
			t.Errorf("a config that was accepted makes no agent: %v", err)
		}
	})
}
