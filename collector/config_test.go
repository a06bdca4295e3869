package collector

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
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

func TestMissingConfigIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := ReadConfig(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
}

const exampleFile = "../deploy/examples/collector.yaml"

// A file that says nothing is valid, and the example says of every default what it is.
func TestShippedExampleIsValid(t *testing.T) {
	empty, err := ParseConfig("collector.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	example, err := ReadConfig(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(example.Health.Overrides) == 0 || len(example.Health.Maintenance) == 0 || len(example.Health.OfficeHours) == 0 {
		t.Error("shows no overrides, maintenance or office hours")
	}
	// What a province says for itself.
	if len(example.Rehearsal.Schedule) == 0 {
		t.Error("shows no schedule of rehearsals")
	}
	example.Rehearsal.Schedule = nil
	example.Title, example.Health.Overrides, example.Health.Maintenance, example.Health.OfficeHours = empty.Title, nil, nil, nil
	if !reflect.DeepEqual(example, empty) {
		t.Errorf("the example differs from the defaults:\n%+v\n%+v", example, empty)
	}
}

// commentedOut matches settings that are commented out; the prose of comments begins with exactly one space.
var commentedOut = regexp.MustCompile(`(?m)^( *)#(\S|  )`)

// The example shows every key, and what is commented out in it can be used as it stands.
func TestShippedExampleShowsEveryKey(t *testing.T) {
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate(t, filepath.Join(dir, "collector.pem"), filepath.Join(dir, "collector.key"))
	certificate(t, filepath.Join(dir, "hub-ca.pem"), filepath.Join(dir, "hub-ca.key"))
	if err := os.Link(filepath.Join(dir, "collector.pem"), filepath.Join(dir, "province-ca.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hub-token"), []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "communes.geojson"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "reflector-tokens"), []byte("# pages\n0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"influx-token": "0123456789abcdef\n", "oidc-secret": "0123456789abcdef\n", "line-profiles.yaml": "profiles: []\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate(t, filepath.Join(dir, "influx-ca.pem"), filepath.Join(dir, "influx-ca.key"))
	all := commentedOut.ReplaceAllString(string(text), "$1$2")
	cfg, err := ParseConfig(filepath.Join(dir, "collector.yaml"), []byte(all))
	if err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	if cfg.TLS.CertFile != filepath.Join(dir, "collector.pem") || cfg.Boundaries == "" || cfg.Reflector.Media == "" || cfg.Rehearsal.HubStatus.CAFile != filepath.Join(dir, "hub-ca.pem") || len(cfg.Health.Limits) != 1 {
		t.Errorf("%+v", cfg)
	}
	// Every kind of entry is shown once at least; between them they hold every key.
	for _, key := range keys(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`(?m)(^|[ {])` + key + `:`).MatchString(all) {
			t.Errorf("the example does not show %q", key)
		}
	}
}

// Every key that a settings file may hold has its place on a docs page.
func TestEveryKeyIsDocumented(t *testing.T) {
	rulesType := reflect.TypeOf(DefaultConfig().Health)
	for page, typ := range map[string]reflect.Type{"../docs/collector.md": reflect.TypeFor[Config](), "../docs/health.md": rulesType} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if typ != rulesType && !strings.Contains(string(text), "(health.md)") {
			t.Errorf("%s does not link to the page on health", page)
		}
		for _, key := range keys(typ) {
			if typ != rulesType && slices.Contains(keys(rulesType), key) {
				continue // it has a page of its own
			}
			if !regexp.MustCompile("[`.{ ]" + key + "[`.:]").Match(text) {
				t.Errorf("%s does not mention %q", page, key)
			}
		}
	}
}

// The page on the collector says what holds without a key.
func TestDocumentedDefaultsHold(t *testing.T) {
	text, err := os.ReadFile("../docs/collector.md")
	if err != nil {
		t.Fatal(err)
	}
	defaults := reflect.ValueOf(DefaultConfig())
	for f := range defaults.Type().Fields() {
		if f.Type.Kind() == reflect.Struct {
			continue
		}
		value := "none"
		switch v := defaults.FieldByIndex(f.Index).Interface().(type) {
		case []string:
			if len(v) > 0 {
				t.Fatalf("%s has a default; say in this test how it is written", f.Name)
			}
		case time.Duration:
			value = "`" + short(v) + "`"
		default:
			if v != "" {
				value = fmt.Sprintf("`%v`", v)
			}
		}
		if row := fmt.Sprintf("| `%s` | %s", f.Tag.Get("yaml"), value); !strings.Contains(string(text), row+" ") {
			t.Errorf("docs/collector.md has no row that begins with %s", row)
		}
	}
}

// The table of thresholds on the page on health is that of the rules, and its other numbers are too.
func TestDocumentedThresholdsHold(t *testing.T) {
	text, err := os.ReadFile("../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := DefaultConfig().Health
	row := regexp.MustCompile("(?m)^(\\| `(?:icmp|tcp|dns|http|webrtc|webrtc_flow|sip|stun|h323|snmp_[a-z]+)\\.[a-z0-9_]+` \\|.*\\|) [^|]* \\|$")
	var got, want []string
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		got = append(got, strings.ReplaceAll(m[1], "| |", "|  |"))
	}
	for _, l := range rules.Limits {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", l.Field, cmp.Or(string(l.Layer), "any"), limit(l.Field, l.Below, l.Degraded), limit(l.Field, l.Below, l.Bad)))
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-rules +page):\n%s", diff)
	}
	for _, says := range []string{
		fmt.Sprintf("`loss_runs` (%d)", rules.LossRuns), fmt.Sprintf("`worse.runs` (%d)", rules.Worse.Runs),
		fmt.Sprintf("| `worse.runs`, `worse.for` | %d, %s |", rules.Worse.Runs, short(rules.Worse.For)),
		fmt.Sprintf("| `better.runs`, `better.for` | %d, %s |", rules.Better.Runs, short(rules.Better.For)),
		fmt.Sprintf("| `flapping.changes`, `flapping.within` | %d, %s |", rules.Flapping.Changes, short(rules.Flapping.Within)),
		fmt.Sprintf("| `flapping.hold` | %s |", short(rules.Flapping.Hold)),
		fmt.Sprintf("| `silence.intervals` | %v |", rules.Silence.Intervals),
		fmt.Sprintf("| `silence.grace` | %s |", short(rules.Silence.Grace)),
		fmt.Sprintf("| `silence.interval` | %s |", short(rules.Silence.Interval)),
		fmt.Sprintf("| `silence.forget` | %s |", short(rules.Silence.Forget)),
	} {
		if !strings.Contains(string(text), says) {
			t.Errorf("docs/health.md does not say %q", says)
		}
	}
}

// limit writes a limit's value as people do.
func limit(field string, below bool, v *float64) string {
	if v == nil {
		return ""
	}
	text := fmt.Sprint(*v)
	switch {
	case strings.HasSuffix(field, "_ratio"):
		text = fmt.Sprintf("%g %%", *v*100)
	case strings.HasSuffix(field, "_seconds") && *v < 1:
		text = fmt.Sprintf("%g ms", *v*1000)
	case strings.HasSuffix(field, "_seconds") && *v >= 24*3600:
		text = fmt.Sprintf("%g days", *v/(24*3600))
	case strings.HasSuffix(field, "_seconds"):
		text += " s"
	}
	if below {
		text = "below " + text
	}
	return text
}

// short is a duration without zeros: 15m, not 15m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// keys lists the YAML keys of a type and of what it holds.
func keys(typ reflect.Type) []string {
	var out []string
	switch typ.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return keys(typ.Elem())
	case reflect.Struct:
		for f := range typ.Fields() {
			if key := f.Tag.Get("yaml"); key != "" && key != "-" {
				out = append(append(out, key), keys(f.Type)...)
			}
		}
	}
	return out
}

func certificate(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
