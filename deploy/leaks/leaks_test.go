package leaks

import (
	"errors"
	"strings"
	"testing"
)

func TestSecretsAreKnown(t *testing.T) {
	letters := strings.Repeat("abcdefgh2345", 5)
	for line, what := range map[string]string{
		`level=WARN msg="no answer" community=planted-community-9vq2`:  "a planted secret",
		`{"password":"planted password 7f3a"}`:                         "a planted secret",
		`Authorization: Token cw1_abcdefgh_` + letters[:52]:            "a token or an API key",
		`curl -H "Authorization: Bearer cw1k_abcdefgh_` + letters[:52]: "a token or an API key",
		"enroll CW1-" + strings.Repeat("5SBK-", 18) + "TR":             "a join code",
		"-----BEGIN EC PRIVATE KEY-----":                               "a private key",
		"agent planted-s3cret-77aa":                                    "a planted secret",
	} {
		found := Search("room.Test", line)
		if len(found) != 1 || found[0].What != what {
			t.Errorf("%s: found %v, want %s", line, found, what)
			continue
		}
		if said := found[0].String(); strings.Contains(said, "9vq2") || strings.Contains(said, letters[:20]) || strings.Contains(said, "-TR") {
			t.Errorf("what is found is told in full: %s", said)
		}
	}
	for _, line := range []string{
		"--- PASS: TestPlantedSecretsAreFound (0.01s)", "the planted secrets are in no log", "communewatch-agent enroll CW1-...",
		"enroll CW1-5SBK-2C3G", "token cw1_abcdefgh_ is unknown", "-----BEGIN CERTIFICATE-----", "trees were planted in 2026",
	} {
		if found := Search("room.Test", line); len(found) > 0 {
			t.Errorf("%s: found %v", line, found)
		}
	}
}

// events are lines of go test -json: action, package, test, output.
func events(list ...[4]string) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteString(`{"Action":"` + e[0] + `","Package":"` + e[1] + `","Test":"` + e[2] + `","Output":"` + e[3] + `"}` + "\n")
	}
	return b.String()
}

func TestWhatIsShownIsWhatGoTestShows(t *testing.T) {
	var shown strings.Builder
	run, err := Read(strings.NewReader("go: downloading x\n"+events(
		[4]string{"start", "good", "", ""},
		[4]string{"run", "good", "TestA", ""},
		[4]string{"output", "good", "TestA", `=== RUN   TestA\n`},
		[4]string{"output", "bad", "TestB", `b_test.go:1: it is broken\n`},
		[4]string{"output", "bad", "TestC", `c_test.go:1: all is well\n`},
		[4]string{"output", "good", "TestA", `level=INFO secret=planted-`},
		[4]string{"output", "good", "TestA", `secret-77aa\n`},
		[4]string{"pass", "good", "TestA", ""},
		[4]string{"output", "good", "", `PASS\n`},
		[4]string{"output", "good", "", `ok  \tgood\t0.1s\n`},
		[4]string{"pass", "good", "", ""},
		[4]string{"fail", "bad", "TestB", ""},
		[4]string{"pass", "bad", "TestC", ""},
		[4]string{"output", "bad", "TestD", `panic: d`}, // it never ends
		[4]string{"output", "bad", "", `FAIL\tbad\t0.2s\n`},
		[4]string{"fail", "bad", "", ""},
		[4]string{"output", "gone", "TestE", `planted-secret-88bb`}, // and its room neither
	)), &shown)
	if err != nil {
		t.Fatal(err)
	}
	want := "go: downloading x\nok  \tgood\t0.1s\nb_test.go:1: it is broken\npanic: dFAIL\tbad\t0.2s\nplanted-secret-88bb"
	if shown.String() != want {
		t.Errorf("shown is\n%s\nwant\n%s", shown.String(), want)
	}
	if run.Failed != 2 {
		t.Errorf("%d rooms failed", run.Failed)
	}
	if len(run.Leaks) != 2 || run.Leaks[0].Where != "good.TestA" || run.Leaks[1].Where != "gone.TestE" {
		t.Errorf("found %v", run.Leaks)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAScreenThatIsGoneIsNoSuccess(t *testing.T) {
	if _, err := Read(strings.NewReader("FAIL\n"), full{}); err == nil {
		t.Error("nobody was told, and that is fine")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(events([4]string{"output", "p", "T", `x\n`}, [4]string{"fail", "p", "", ""}))
	f.Add("{}\n{\"Action\":\"pass\",\"Package\":\"p\"}")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Read(strings.NewReader(text), &strings.Builder{}); err != nil {
			t.Error(err)
		}
	})
}
