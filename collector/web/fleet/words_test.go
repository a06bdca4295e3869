package fleet_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/people"
	kept "communewatch/collector/registry/releases"
	"communewatch/collector/releases/stages"
	"communewatch/inventory"
	"communewatch/probes/orders"
	"communewatch/probes/release"
)

// english finds words that no Vietnamese page has: the small words of sentences.
var english = regexp.MustCompile(`(?i)\b(the|is|are|was|were|not|of|with|from|and|or|has|have|can't|it|its|this|that|which|there|agent|agents|site|sites|check|checks|run|by|no|to|one|use)\b`)

// aside is what a page of any language has as it is: texts that people type in English (the plan, an old name), names of
// acts for the filter, details for engineers, which are marked, and names in attributes.
var aside = []*regexp.Regexp{
	regexp.MustCompile(`(?s)<head>.*?</head>`), regexp.MustCompile(`(?s)<header.*?</header>`), regexp.MustCompile(`(?s)<textarea.*?</textarea>`), regexp.MustCompile(`(?s)<pre.*?</pre>`),
	regexp.MustCompile(`(?s)<code lang="en">.*?</code>`), regexp.MustCompile(`(?s)<code>.*?</code>`), regexp.MustCompile(`<small>[a-z_]+(\.[a-z_]+)*</small>`),
	regexp.MustCompile(`&lt;script.*?script&gt;`), regexp.MustCompile(`communewatch-agent enroll --allow|allow\.addresses`),
	regexp.MustCompile(`(?s)<[^>]*>`),
}

// inEnglish is what of a Vietnamese page is English.
func inEnglish(body string) []string {
	for _, a := range aside {
		body = a.ReplaceAllString(body, "\n")
	}
	var found []string
	for line := range strings.Lines(body) {
		if n := len(english.FindAllString(line, -1)); n > 1 || n > 0 && !vietnamese.MatchString(line) && !named.MatchString(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return slices.Compact(found)
}

// vietnamese finds letters that only Vietnamese has: a single English word beside them is a name.
var vietnamese = regexp.MustCompile(`(?i)[àáảãạăằắẳẵặâầấẩẫậđèéẻẽẹêềếểễệìíỉĩịòóỏõọôồốổỗộơờớởỡợùúủũụưừứửữựỳýỷỹỵ]`)

// named are lines with English words that are names: of commands, of keys of a settings file.
var named = regexp.MustCompile(`communewatch-collector|/ main|updates: \{|^\s*(agent|main)\s*$`)

// ailing makes the world one in which much goes wrong.
func ailing(t *testing.T, w *world) {
	t.Helper()
	ctx := people.With(t.Context(), admin)
	if _, err := w.reg.ImportSites(ctx, []inventory.Site{{ID: "s1", Name: "Tích Sơn", Parent: "Vĩnh Yên"}, {ID: "s2", Name: "Đồng Tâm", Parent: "Vĩnh Yên"}}, false); err != nil {
		t.Fatal(err)
	}
	for _, e := range []audit.Entry{
		{Act: "sign_in.failed", Who: "hoa", Detail: "name or password is wrong", Via: "screen"}, {Act: "refused", What: "POST /fleet/work/apply", Detail: "needs work", Via: "api"},
		{Act: "agent.enrolled", Who: "s1/main", Via: "agent", What: "s1/main", Detail: "pending; host pc1", OK: true},
		{Act: "agent.clone", Who: "system", Via: "system", What: "s1/main", Detail: "two machines report in turn: pc1 and pc2", OK: true},
		{Act: "person.set", What: "hoa", Detail: "role operator, was viewer; districts Vĩnh Yên, were all; disabled", Via: "command", OK: true},
		{Act: "code.create", What: "s1", Detail: "code AB12; agent main; replaces false; approve true; until 2026-11-27 08:00 UTC", OK: true},
		{Act: "work.apply", What: "version 3 of the plan", Detail: "12 agents change, 3 stay as they are", Via: "screen", OK: true},
		{Act: "release.start", What: "1.5.0", Detail: "first s1, s2, then [10 100] %", OK: true},
		{Act: "run.start", What: "s1/main", Detail: "you asked for too many runs; wait a minute"},
	} {
		e.At = time.Now()
		if err := w.reg.People().Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	v, err := release.ParseVersion("1.5.0")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(release.Manifest{Product: release.Product, Version: v, Built: time.Now(), Expires: time.Now().AddDate(1, 0, 0),
		Files: []release.File{{OS: "linux", Arch: "amd64", Name: "agent", Size: 1, SHA256: strings.Repeat("0", 64)}}})
	if err != nil {
		t.Fatal(err)
	}
	store := w.reg.Releases()
	if err := store.Put(ctx, kept.Release{Version: v, Manifest: manifest, Signature: []byte("x"), By: "lan"}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Start(ctx, v, stages.DefaultPlan("s1"), "lan"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Change(ctx, func(r stages.Rollout) (stages.Rollout, error) {
		r.State, r.Why = stages.StateHalted, "s1/main went back to the former version: its results did not arrive within 10m0s"
		return r, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestAVietnamesePageHasNoEnglishSentence: whatever went wrong, who reads Vietnamese reads Vietnamese.
func TestAVietnamesePageHasNoEnglishSentence(t *testing.T) {
	w := newWorld(t)
	ailing(t, w)
	shown := map[string]string{}
	for _, path := range []string{"/fleet", "/fleet/agents/s1/main", "/fleet/agents/s2/main", "/fleet/join", "/fleet/work", "/fleet/releases", "/fleet/people", "/fleet/audit"} {
		shown[path] = w.get(admin, path+"?lang=vi")
	}
	const plan = `secrets: [snmp]
allow: [10.0.0.0/8, 224.0.0.0/4]
values: {gateway: {type: adress}, snmp: {type: text}}
templates:
  a:
    checks:
    - {name: gw, kind: icpm, address: "${gatway}", path: lan, interval: often}
    - {name: gw, kind: icmp, address: 127.0.0.1, path: lan, interval: 1ms, each: gateway}
    - {kind: tcp, path: there, options: {pasword: x}}
groups:
- {name: all, templates: [b]}
- {name: all, all: true, sites: [s1], templates: [a], unknown: 1}
`
	const sound = "values: {gateway: {type: address, default: 10.1.1.1}}\ntemplates:\n  a: {checks: [{name: gw, kind: icmp, address: '${gateway}', path: lan, interval: 30s}]}\n  none: {checks: [{name: x, kind: icmp, address: 10.0.0.1, path: lan, interval: 30s}]}\n" +
		"groups:\n- {name: empty, districts: [Nowhere], templates: [a]}\n- {name: all, all: true, templates: [a]}\nsites:\n  s9: {values: {gateway: 10.2.2.2}}\n"
	post := func(who people.Caller, what, path string, form url.Values) {
		shown[what] = w.do(who, "POST", path+"?lang=vi", form).Body.String()
	}
	preview := func(what, text string) {
		post(admin, what, "/fleet/work/preview", url.Values{"plan": {text}, "base": {"0"}})
	}
	preview("a plan with mistakes", plan)
	preview("a plan that is no YAML", "templates: [\n")
	preview("a plan of another shape", "templates: 7\nallow: {a: b}\n")
	preview("a plan with doubts", sound)
	preview("a plan that agents refuse", "allow: [203.0.113.0/24]\ntemplates: {a: {checks: [{name: x, kind: icmp, path: broadband, address: 203.0.113.7}]}}\ngroups: [{name: all, all: true, templates: [a]}]\n")
	post(admin, "a plan is applied", "/fleet/work/apply", url.Values{"plan": {sound}, "base": {"0"}, "note": {strings.Repeat("x", 5000)}})
	w.do(admin, "POST", "/fleet/work/apply", url.Values{"plan": {sound}, "base": {"0"}})
	post(admin, "a list with mistakes", "/fleet/work/preview", url.Values{"list": {"Mã đơn vị\tgateway\tkhác\ns1\tx y\t1\ns77\t10.1.1.1\t2\ns1\t10.1.1.2\t3\n\t10.1.1.3\n"}, "base": {"1"}})
	post(admin, "a list without headings", "/fleet/work/preview", url.Values{"list": {"1\t2\n3\t4\n"}, "base": {"1"}})
	post(admin, "a bad secret", "/fleet/work/secrets", url.Values{"name": {"Not A Name"}, "value": {"x"}})
	post(admin, "a secret without a value", "/fleet/work/secrets", url.Values{"name": {"snmp"}})
	post(operator, "who may not", "/fleet/work/apply", url.Values{"plan": {sound}, "base": {"1"}})
	for what, form := range map[string]url.Values{
		"a bad name": {"do": {"add"}, "name": {"1 x"}, "role": {"viewer"}}, "a taken name": {"do": {"add"}, "name": {"system"}, "role": {"viewer"}},
		"a bad role": {"do": {"add"}, "name": {"hoa"}, "role": {"king"}}, "a long name": {"do": {"add"}, "name": {"hoa"}, "display": {strings.Repeat("x", 2000)}, "role": {"viewer"}},
		"nobody": {"do": {"set"}, "name": {"nobody"}, "role": {"viewer"}}, "a key of nobody": {"do": {"key"}, "name": {"nobody"}, "role": {"viewer"}, "days": {"1"}},
		"a key for ever": {"do": {"key"}, "name": {"hoa"}, "role": {"viewer"}, "days": {"99999"}}, "a key of none": {"do": {"revoke_key"}, "id": {"x"}}, "nothing": {},
	} {
		post(admin, what, "/fleet/people", form)
	}
	for what, form := range map[string]url.Values{
		"a bad version": {"do": {"start"}, "version": {"next"}, "sure": {"1"}}, "no first site": {"do": {"start"}, "version": {"1.5.0"}, "sure": {"1"}},
		"a version that is none": {"do": {"start"}, "version": {"9.9.9"}, "sure": {"1"}, "first": {"s1"}}, "a pause": {"do": {"pause"}}, "a wrong site": {"do": {"start"}, "version": {"1.5.0"}, "sure": {"1"}, "first": {"Tích Sơn"}},
	} {
		post(admin, what, "/fleet/releases", form)
	}
	post(admin, "no checks", "/fleet/agents/s1/main/check", url.Values{})
	post(admin, "not connected", "/fleet/agents/s3/main/check", url.Values{"check": {"gateway"}})
	run := w.do(admin, "POST", "/fleet/agents/s1/main/check", url.Values{"check": {"gateway", "dns"}}).Header().Get("Location")
	id := run[strings.LastIndexByte(run, '/')+1:]
	w.runs.Hear("s1", "main", orders.Report{Order: id, Phase: orders.PhaseRefused, Reason: "2 orders to run checks are under way; wait for one to end",
		Ran: []orders.Ran{{Check: "gateway", Phase: orders.PhaseRefused, Reason: "it was run by order 3s ago; once in 10s is enough"}, {Check: "dns", Phase: orders.PhaseDone, Outcome: "timeout", Reason: "no reply"}}})
	shown["a run"] = w.get(admin, run+"?lang=vi")
	for what, body := range shown {
		if !strings.Contains(body, `lang="vi"`) && body != "" {
			t.Errorf("%s: no page: %.200s", what, body)
		}
		for _, line := range inEnglish(body) {
			t.Errorf("%s: %q", what, line)
		}
	}
	if at := shown["a plan with mistakes"]; strings.Count(at, "<b>Dòng") < 8 || !strings.Contains(at, "có phải ý là") {
		t.Error("the mistakes of a plan are not all there")
	}
}
