package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlySettingsThatWantAnIdentityWaitForOne(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		want           bool
	}{
		{"as packaged", "", true},
		{"with things that have nothing to do with it", "self_interval: 1m\n", true},
		{"with a site and a token of their own", "site: s1\ncollectors: [{url: \"https://c:1\", token: x}]\n", false},
		{"half of that, which is a mistake", "site: s1\n", false},
		{"with a mistake", "sight: s1\n", false},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "agent.yaml")
		if err := os.WriteFile(file, []byte("state_dir: "+dir+"\n"+c.settings), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Unenrolled(file); got != c.want {
			t.Errorf("settings %s: waits is %v, want %v", c.name, got, c.want)
		}
	}
	if Unenrolled(filepath.Join(t.TempDir(), "none.yaml")) {
		t.Error("waits although there is no settings file")
	}
	damaged := t.TempDir()
	file := filepath.Join(damaged, "agent.yaml")
	if err := os.MkdirAll(filepath.Join(damaged, "identity"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{file: "state_dir: " + damaged + "\n", filepath.Join(damaged, "identity", "identity.json"): "{"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if Unenrolled(file) {
		t.Error("waits for ever beside an identity that is damaged, and says nothing of that")
	}
}

// The settings that packages bring need no edit before the machine is enrolled.
func TestPackagedSettingsNeedAnIdentityAndNothingElse(t *testing.T) {
	for _, system := range []string{"agent", "windows"} {
		data, err := os.ReadFile("../deploy/packages/files/" + system + "/agent.yaml")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "agent.yaml")
		text := string(data) + "\nstate_dir: " + dir + "\n"
		if system == "agent" {
			text = strings.Replace(text, "state_dir: /var/lib/communewatch-agent", "", 1)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if !Unenrolled(file) {
			t.Errorf("the settings of %s want more than an identity", system)
		}
	}
}
