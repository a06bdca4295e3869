// Package rollout_test looks at the examples of a rollout as far as that goes without machines to roll out to.
package rollout_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// task holds every key that our playbook uses; another one is an error.
type task struct {
	Name        string         `yaml:"name"`
	Copy        map[string]any `yaml:"ansible.builtin.copy"`
	Apt         map[string]any `yaml:"ansible.builtin.apt"`
	Service     map[string]any `yaml:"ansible.builtin.service"`
	Command     map[string]any `yaml:"ansible.builtin.command"`
	NoLog       bool           `yaml:"no_log"`
	ChangedWhen *bool          `yaml:"changed_when"`
}

type play struct {
	Name           string            `yaml:"name"`
	Hosts          string            `yaml:"hosts"`
	Become         bool              `yaml:"become"`
	GatherFacts    bool              `yaml:"gather_facts"`
	Serial         []string          `yaml:"serial"`
	MaxFailPercent *int              `yaml:"max_fail_percentage"`
	Vars           map[string]string `yaml:"vars"`
	Tasks          []task            `yaml:"tasks"`
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestPlaybookGoesStepByStepAndHidesCodes(t *testing.T) {
	var plays []play
	decode(t, "playbook.yaml", &plays)
	if len(plays) != 1 || !slices.Equal(plays[0].Serial, []string{"1", "10%", "100%"}) || plays[0].MaxFailPercent == nil || *plays[0].MaxFailPercent != 0 {
		t.Fatalf("plays %+v do not begin with one machine and end at the first failure", plays)
	}
	codes := 0
	for _, task := range plays[0].Tasks {
		modules := 0
		for _, m := range []map[string]any{task.Copy, task.Apt, task.Service, task.Command} {
			if m != nil {
				modules++
			}
		}
		if modules != 1 || task.Name == "" {
			t.Errorf("task %q has %d modules", task.Name, modules)
		}
		out, err := yaml.Marshal(task.Command)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), "join_codes") {
			codes++
			if !task.NoLog || task.Command["creates"] == nil {
				t.Errorf("task %q logs codes, or uses one for a machine that has joined", task.Name)
			}
		}
	}
	if codes != 1 {
		t.Errorf("%d tasks use codes", codes)
	}
	var inventory map[string]struct {
		Hosts map[string]map[string]string `yaml:"hosts"`
		Vars  map[string]string            `yaml:"vars"`
	}
	decode(t, "inventory.yaml", &inventory)
	if len(inventory[plays[0].Hosts].Hosts) == 0 {
		t.Errorf("the playbook is for %q, which the inventory does not have", plays[0].Hosts)
	}
	if out, err := exec.LookPath("ansible-playbook"); err == nil {
		if said, err := exec.Command(out, "-i", "inventory.yaml", "--syntax-check", "playbook.yaml").CombinedOutput(); err != nil {
			t.Errorf("ansible: %v\n%s", err, said)
		}
	}
}

// rollout runs the script with stand-ins for ssh and scp, which run what they are given here.
func rollout(t *testing.T, mode os.FileMode, machines string, more ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("scp", "#!/bin/sh\necho \"scp to ${5%%:*}\"\n", 0o755)
	write("ssh", "#!/bin/sh\nmachine=$3\ncase $machine in *broken*) exit 255;; esac\nexport machine\nexec sh -c \"$4\"\n", 0o755)
	write("sudo", "#!/bin/sh\nshift\nexec \"$@\"\n", 0o755)
	write("test", "#!/bin/sh\ncase $machine in *joined*) exit 0;; esac\nexit 1\n", 0o755)
	write("apt-get", "#!/bin/sh\necho \"$machine: apt-get $1\"\n", 0o755)
	write("systemctl", "#!/bin/sh\necho active\n", 0o755)
	write("communewatch-agent", "#!/bin/sh\necho \"$machine: $*\"\n", 0o755)
	list, pkg := write("machines", machines, mode), write("communewatch-agent_1_amd64.deb", "", 0o600)
	cmd := exec.Command("./rollout.sh", append([]string{pkg, list}, more...)...)
	cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestScriptLetsEachMachineJoinOnce(t *testing.T) {
	out, err := rollout(t, 0o600, "# phase 1\nadmin@s1 CW1-AAAA-BBBB\n\nadmin@joined\nadmin@s2 CW1-CCCC\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"admin@s1: apt-get install", "admin@s1: enroll CW1-AAAA-BBBB", "has joined before", "admin@s2: enroll CW1-CCCC", "rollout: done"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "admin@joined: enroll") {
		t.Errorf("a machine that has joined was told to join again:\n%s", out)
	}
}

func TestScriptSwitchesUpdatesOnAsMachinesJoin(t *testing.T) {
	out, err := rollout(t, 0o600, "admin@s1 CW1-AAAA-BBBB\n", "RWQk3y+/9A=")
	if err != nil || !strings.Contains(out, "admin@s1: enroll CW1-AAAA-BBBB --updates RWQk3y+/9A=\n") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, bad := range []string{"RW; reboot", "$(reboot)", "province.pub"} {
		if out, err := rollout(t, 0o600, "admin@s1 CW1-AAAA-BBBB\n", bad); err == nil || !strings.Contains(out, "no public key") || strings.Contains(out, "scp") {
			t.Errorf("%q: %v\n%s", bad, err, out)
		}
	}
}

func TestScriptLetsMeasuringPointsIn(t *testing.T) {
	out, err := rollout(t, 0o600, "admin@s1 CW1-AAAA-BBBB\n", "", "203.0.113.7,2001:db8::/32")
	if err != nil || !strings.Contains(out, "admin@s1: enroll CW1-AAAA-BBBB --allow 203.0.113.7,2001:db8::/32\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := rollout(t, 0o600, "admin@s1 CW1-AAAA-BBBB\n", "", "a; reboot"); err == nil || !strings.Contains(out, "no list of addresses") || strings.Contains(out, "scp") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestScriptEndsAtTheFirstFailure(t *testing.T) {
	out, err := rollout(t, 0o600, "admin@broken CW1-AAAA\nadmin@s2 CW1-BBBB\n")
	if err == nil || strings.Contains(out, "s2") || strings.Contains(out, "done") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestScriptRefusesCodesThatOthersCanRead(t *testing.T) {
	out, err := rollout(t, 0o644, "admin@s1 CW1-AAAA\n")
	if err == nil || !strings.Contains(out, "chmod 600") || strings.Contains(out, "scp") {
		t.Errorf("%v\n%s", err, out)
	}
}
