package attacks_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	docs = "../../../docs/security-table.md"
	root = "../../.."
)

var update = flag.Bool("update", false, "write docs/security-table.md anew")

// row is something that somebody will try.
type row struct {
	name   string
	try    func(*testing.T, *ground) // nil: only other rooms try it
	proven []string                  // tests elsewhere: room.Test
}

// rows is the table, in the order of what a fleet is asked to withstand.
var rows = []row{
	{"expired join codes", expiredCode, []string{"collector/registry/agents.TestCodesThatAreNoGood"}},
	{"reused join codes", reusedCode, []string{"collector/registry/agents.TestACodeIsForOneMachine", "collector/enroll.TestGuessesAreCounted"}},
	{"truncated join codes", truncatedCode, []string{"probes/enroll.FuzzParseCode", "agent/cmd/communewatch-agent/membership.TestCodesThatAreWrongAreExplained"}},
	{"wrong CA", wrongAuthority, []string{"agent/identity/join.TestManInTheMiddleLearnsNothing"}},
	{"man in the middle", manInTheMiddle, []string{"agent/identity/join.TestManInTheMiddleLearnsNothing"}},
	{"clock off by years at first boot", wrongClock, []string{"agent/identity/join.TestClockOffByYearsAtTheFirstStart", "agent/identity/keep.TestClockThatGoesWrongLater",
		"collector.TestClockThatIsYearsAheadChangesNothing", "collector/registry.TestNothingIsRemovedByAClockThatIsAhead"}},
	{"certificates of another fleet", otherFleet, []string{"collector/callers.TestWhoSendsARequest", "agent/identity/keep.TestAgentOfAnotherFleetIsToldSo"}},
	{"an identity writing for another site", otherSite, []string{"collector.TestAnAgentJoinsReportsAndIsThrownOut", "collector/ingest.TestForeignBatchIsForbidden"}},
	{"a config that names a forbidden prefix", forbiddenPrefix, []string{"agent.TestWorkIsHeldAgainstTheAgentsOwnSettings", "agent/kinds.TestEveryKindKeepsToTheGuard", "probes/bind.TestNamesDoNotLeadAroundTheGuard"}},
	{"an update with a wrong signature", wrongSignature, []string{"agent/update.TestWhatIsNotAsItShouldBeNeverRuns", "probes/release.TestOnlyWhatAPinnedKeySignedIsRead", "collector/releases.TestAReleaseIsTakenInOnlyAsItWasSigned"}},
	{"an update to an older version", olderVersion, []string{"agent/update.TestWhatIsNotAsItShouldBeNeverRuns"}},
	{"an update that is truncated", truncatedUpdate, []string{"agent/update.TestAFileThatIsNotWholeAtTheCollectorIsRefusedInTheEnd", "agent/update.TestADownloadGoesOnWhereItWasInterrupted"}},
	{"an update for another architecture", otherArchitecture, []string{"agent/update.TestWhatIsNotAsItShouldBeNeverRuns", "probes/release.FuzzBinary"}},
	{"136 agents reconnecting in the same second", nil, []string{"deploy/lab/enrolled.TestAProvinceComesBackWithoutAStampede", "collector.TestAProvinceComesBackAtOnce", "collector/doors.TestAProvinceReconnectsAtOnce"}},
	{"slow-loris clients", slowClients, []string{"collector/doors.TestSlowClientsAreLetGo", "collector/ingest.TestSlowClient"}},
	{"login brute force", bruteForce, []string{"collector/people/door.TestBruteForce", "collector/people/door.TestTriesAreBounded"}},
	{"CSRF", forgedRequests, []string{"collector/people/door.TestForgedRequests", "collector/people/door.TestSessionFixation"}},
	{"XSS in site names", hostileSite, []string{"collector/web.TestEverythingFromOutsideIsEscaped", "collector/web/report.TestHostileNamesAreText", "collector/fleet/sheet.TestHostileNamesStayText"}},
	{"XSS in device names", hostileDevice, []string{"collector/web/inventory.TestHostileDevices"}},
	{"CSV/XLSX formula injection", formulas, []string{"inventory/sheet.TestFormulasAreDefused", "collector/web/report/sheets.TestHostileNamesAreNoFormulas"}},
	{"path traversal", traversal, []string{"collector/people/door.TestUnknownAddresses", "collector/people/door.FuzzLocal"}},
	{"SQL injection", injection, []string{"collector/registry/devices.TestHostile", "collector/registry/people.TestRecord", "collector/registry.TestScopesThatAreNone"}},
	{"secrets in logs", secretsInLogs, []string{"collector/people/door.TestNoSecretsInTheLog", "agent/work.TestSecretsAreNowhereAsPlainText", "collector/registry.TestSecretIsNotKept", "deploy/leaks.TestSecretsAreKnown"}},
}

// asked is what a fleet must withstand, in the words in which it was asked for, and the row of each.
var asked = map[string]string{
	"Expired": "expired join codes", "reused": "reused join codes", "truncated join codes": "truncated join codes", "wrong CA": "wrong CA",
	"a man in the middle": "man in the middle", "clock off by years at first boot": "clock off by years at first boot",
	"certificates of another fleet": "certificates of another fleet", "an identity writing for another site": "an identity writing for another site",
	"a config that names a forbidden prefix": "a config that names a forbidden prefix", "an update with a wrong signature": "an update with a wrong signature",
	"an older version": "an update to an older version", "a truncated file": "an update that is truncated",
	"a binary for another architecture":          "an update for another architecture",
	"136 agents reconnecting in the same second": "136 agents reconnecting in the same second", "slow-loris clients": "slow-loris clients",
	"login brute force": "login brute force", "CSRF": "CSRF", "XSS in site names": "XSS in site names", "XSS in device names": "XSS in device names",
	"CSV/XLSX formula injection": "CSV/XLSX formula injection", "path traversal": "path traversal", "SQL injection": "SQL injection",
}

func TestNothingThatWasAskedIsMissing(t *testing.T) {
	have := map[string]bool{}
	for _, r := range rows {
		if have[r.name] {
			t.Errorf("two rows are called %s", r.name)
		}
		have[r.name] = true
		if r.try == nil && len(r.proven) == 0 {
			t.Errorf("%s: nobody tries it", r.name)
		}
	}
	for what, name := range asked {
		if !have[name] {
			t.Errorf("%s: there is no row %s", what, name)
		}
	}
}

// The tests that rows name are there.
func TestNamedTestsExist(t *testing.T) {
	for _, r := range rows {
		for _, p := range r.proven {
			at := strings.LastIndex(p, ".")
			room, name := p[:at], p[at+1:]
			files, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
			found := false
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				found = found || declared.Match(text)
			}
			if !found {
				t.Errorf("%s: there is no %s in %s", r.name, name, room)
			}
		}
	}
}

func TestTheDocumentIsCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What a fleet withstands, and where that is tested\n\n" +
		"Made from the table in `deploy/lab/attacks` by `go test ./deploy/lab/attacks -run Document -update`; a test fails when it is not\n" +
		"current, or names a test that is not there. \"Tried\" is done to a real collector and real agents over real sockets:\n" +
		"`go test ./deploy/lab/attacks -run 'Attacks/NAME'`. The other tests are those of the part itself, and go further.\n\n" +
		"| attack | tried | tests of the part |\n|---|---|---|\n")
	for _, r := range rows {
		tried := ""
		if r.try != nil {
			tried = "yes"
		}
		list := make([]string, len(r.proven))
		for i, p := range r.proven {
			list[i] = "`" + p + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, tried, strings.Join(list, ", "))
	}
	if *update {
		if err := os.WriteFile(docs, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text, err := os.ReadFile(docs); err != nil || string(text) != b.String() {
		t.Errorf("it is not current (%v); go test ./deploy/lab/attacks -run Document -update", err)
	}
}
