package release

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
	"github.com/spf13/cobra"

	"communewatch/collector"
	"communewatch/collector/audit"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/fleet"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/inventory"
	"communewatch/probes/enroll"
	"communewatch/probes/presence"
	"communewatch/probes/release/releasetest"
)

func TestAReleaseFromAFileToItsWithdrawal(t *testing.T) {
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := collector.DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.Updates.Enabled, cfg.Updates.Keys = true, []string{public.String()}
	access := program.Access{
		Config: func() (collector.Config, error) { return cfg, nil },
		Registry: func(cmd *cobra.Command, do func(*registry.Registry) error) error {
			reg, err := registry.Open(cmd.Context(), cfg.RegistryFile(), registry.Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				return err
			}
			defer reg.Close()
			return do(reg)
		},
	}
	run := func(args ...string) (string, error) {
		cmd := New(access)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	join(t, access)
	folder := t.TempDir()
	releasetest.Write(t, folder, private, "1.4.0", releasetest.Program("1.4.0"))
	for _, step := range []struct {
		args string
		want string // of the output, or of the error
		bad  bool
	}{
		{"status", "no release is going out", false},
		{"start 1.4.0 --first s1", "no such release", true},
		{"add " + filepath.Join(folder, "manifest.json"), "ZIP", true},
		{"add " + folder, "release 1.4.0 is verified and kept, for linux/amd64", false},
		{"list", "1.4.0", false},
		{"start 1.4.0", "name 1 to 50 sites", true},
		{"start 1.4.0 --first s1 --shares 10,50", "the last of them 100", true},
		{"start nonsense --first s1", "no version", true},
		{"start 1.4.0 --first s99999", "no agent of site s99999 is in the fleet", true},
		{"start 1.4.0 --first s1 --shares 50,100 --soak 1h", "goes out, first to s1", false},
		{"status", "release 1.4.0: running, stage 1 of 3", false},
		{"pause", "the release paused", false},
		{"pause", "is paused", true},
		{"resume", "the release goes on", false},
		{"halt --why 100%bad", "is halted", false},
		{"status --json", `"why": "halted by `, false},
		{"status", "100%bad", false},
		{"withdraw 1.4.0", "is withdrawn", false},
		{"resume", "is withdrawn", true},
		{"start 1.4.0 --first s1", "withdrawn", true},
	} {
		out, err := run(strings.Fields(step.args)...)
		if err != nil {
			out += err.Error()
		}
		if (err != nil) != step.bad || !strings.Contains(out, step.want) {
			t.Errorf("release %s: %v\n%s", step.args, err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(cfg.ReleasesDir(), "1.4.0")); err == nil {
		t.Error("its files are still there")
	}
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	err = access.Registry(cmd, func(reg *registry.Registry) error {
		list, err := reg.People().Entries(t.Context(), audit.Filter{Act: "release."})
		if len(list) != 6 || list[0].Act != "release.withdraw" || list[0].Via != "command" || list[0].Who == "" || list[0].Who == "system" {
			t.Errorf("the record has %+v", list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// join brings an agent of s1 into the fleet.
func join(t *testing.T, access program.Access) {
	t.Helper()
	cmd := &cobra.Command{}
	ctx := program.As(t.Context())
	cmd.SetContext(ctx)
	if err := access.Registry(cmd, func(reg *registry.Registry) error {
		if _, err := reg.ImportSites(ctx, []inventory.Site{{ID: "s1", Name: "Một"}}, false); err != nil {
			return err
		}
		desk := reg.Agents().NewDesk(func() (enroll.Pin, []string, error) { return enroll.Pin{1}, []string{"https://hub.example:8787"}, nil })
		made, err := desk.CreateCodes(ctx, []fleet.NewCode{{Site: "s1", Agent: "main"}})
		if err != nil {
			return err
		}
		code, err := enroll.ParseCode(made[0].Text)
		if err != nil {
			return err
		}
		machine := enroll.Machine{Host: "pc", System: "linux/amd64", Version: "v1.0.0"}
		if _, err := reg.Agents().Ask(ctx, agents.Asking{Secret: code.Secret, Key: [32]byte{1}, Agent: "main", Machine: machine, Address: "10.1.1.1"}); err != nil {
			return err
		}
		return reg.Agents().Heard(ctx, agents.Hearing{Site: "s1", Agent: "main", Presence: &presence.Presence{Phase: presence.PhaseRunning, Machine: machine, Update: presence.Update{Enabled: true}}})
	}); err != nil {
		t.Fatal(err)
	}
}
