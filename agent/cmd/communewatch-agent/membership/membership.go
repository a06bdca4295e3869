// Package membership is the command line's part of the agent's identity: a machine joins the fleet with a code, and says
// who it is.
package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/agent"
	"communewatch/agent/allow"
	"communewatch/agent/cmd/communewatch-agent/update"
	"communewatch/agent/identity"
	"communewatch/agent/identity/join"
	updates "communewatch/agent/update"
	"communewatch/probes"
	"communewatch/probes/enroll"

	"github.com/spf13/cobra"
)

// Commands returns the commands enroll, identity and allow of a program of the version given.
func Commands(version string) []*cobra.Command {
	return []*cobra.Command{newEnroll(version), newIdentity(), newAllow()}
}

// place is where the identity is: given by a state folder, or by the settings that name one.
type place struct{ dir, config string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.dir, "state-dir", "", "state `folder` of the agent (default "+agent.DefaultConfig().StateDir+")")
	cmd.Flags().StringVar(&p.config, "config", "", "settings `file` that names the state folder")
	cmd.MarkFlagsMutuallyExclusive("state-dir", "config")
}

func (p *place) folder() (string, error) {
	if p.config != "" {
		dir, err := agent.StateDir(p.config)
		return identity.Folder(dir), err
	}
	return identity.Folder(cmp.Or(p.dir, agent.DefaultConfig().StateDir)), nil
}

func newEnroll(version string) *cobra.Command {
	var at place
	var name string
	var again bool
	var maker, let []string
	cmd := &cobra.Command{
		Use: "enroll CODE", Short: "Make this machine an agent, with a join code from the collector",
		Long: "Make this machine an agent, with a join code from the collector (communewatch-collector enroll create).\n\n" +
			"The code may be typed with or without its hyphens and in several words. A key is made, which never leaves this machine;\n" +
			"the collector certifies it for the site of the code. Where somebody has to approve that, the command waits, and may be\n" +
			"broken off and given again. Run it as the user of the agent's service, or as root.\n\n" +
			"With --updates the machine will take releases of the agent that are signed with that key, when the collector hands them on;\n" +
			"without it, it takes none.\n\n" +
			"With --allow the checks that the collector gives may speak to these addresses as well, beside private networks and what the\n" +
			"settings allow: a measuring point on the Internet is outside of both. communewatch-agent allow shows and changes that later.",
		Example: "  communewatch-agent enroll CW1-9F3K-....\n  communewatch-agent enroll CW1-9F3K-.... --name hall-pc\n  communewatch-agent enroll CW1-9F3K-.... --updates RWQ...\n  communewatch-agent enroll CW1-9F3K-.... --allow 203.0.113.7",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("give the join code: %s", cmd.UseLine())
			}
			code, err := enroll.ParseCode(strings.Join(args, " "))
			if err != nil {
				return fmt.Errorf("%w; compare it with the sheet, group by group", err)
			}
			if name == "" {
				name = agent.HostName()
			} else if err := probes.CheckName(name); err != nil {
				return fmt.Errorf("--name: %w", err)
			}
			dir, err := at.folder()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			var set *identity.Set
			undo, err := prepare(dir, maker, let)
			if err == nil {
				set, err = join.Enroll(cmd.Context(), join.Options{
					Dir: dir, Code: code, Agent: name, Machine: identity.Machine(version), Again: again,
					Say: func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) },
				})
				if err != nil && !errors.Is(err, join.ErrLeft) {
					err = errors.Join(err, undo())
				}
			}
			if errors.Is(err, os.ErrPermission) {
				return fmt.Errorf("%w; run this command as root (Windows: as administrator), or name another folder with --state-dir", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "enrolled: agent %s of site %s, certified until %s\n", set.Name.Agent, set.Name.Site, set.Certificate.NotAfter.UTC().Format(time.DateOnly))
			return nil
		},
	}
	at.flags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "`name` of the agent within its site, where the code does not say it (default: this machine's)")
	cmd.Flags().StringSliceVar(&maker, "updates", nil, "take releases signed with this public `key` of minisign, or those of a file; may be given several times")
	cmd.Flags().StringSliceVar(&let, "allow", nil, "let checks from the collector speak to this address or `prefix` too; several by commas")
	cmd.Flags().BoolVar(&again, "again", false, "in the place of the identity that this machine has")
	return cmd
}

// prepare keeps what is said beside the code, before there is an identity: a service that waits for one starts at once. undo
// is for a machine that did not join.
func prepare(dir string, maker, let []string) (undo func() error, err error) {
	list, err := allow.Parse(let)
	if err != nil {
		return nil, fmt.Errorf("--allow: %w", err)
	}
	unpin, err := pin(dir, maker)
	if err != nil || len(list) == 0 {
		return unpin, err
	}
	before, err := allow.Kept(dir)
	if err != nil {
		before = nil // those are of no use
	}
	if err := allow.Keep(dir, list); err != nil {
		return nil, errors.Join(err, unpin())
	}
	return func() error { return errors.Join(unpin(), allow.Keep(dir, before)) }, nil
}

// pin pins the maker's keys. undo takes that back.
func pin(dir string, maker []string) (undo func() error, err error) {
	if len(maker) == 0 {
		return func() error { return nil }, nil
	}
	keys, err := update.Keys(maker)
	if err != nil {
		return nil, fmt.Errorf("--updates: %w", err)
	}
	before, err := updates.Pinned(dir)
	if err != nil {
		before = nil // those are of no use
	}
	return func() error { return updates.Pin(dir, before) }, updates.Pin(dir, keys)
}

// Until returns a context that ends when the machine is no longer who it is in a state folder now: it was enrolled anew, and
// the agent has to start again as who it is then. changed says so; it is to be called when the context is needed no more. A
// machine without an identity stays who it is.
func Until(ctx context.Context, stateDir string, every time.Duration) (_ context.Context, changed func() bool) {
	dir := identity.Folder(stateDir)
	before, err := identity.Read(dir)
	if err != nil {
		return ctx, func() bool { return false }
	}
	ctx, end := context.WithCancel(ctx)
	other, done := false, make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for !other {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := identity.Read(dir)
			other = err == nil && !now.Key.Equal(before.Key)
		}
		end()
	}()
	return ctx, func() bool { end(); <-done; return other }
}

func newIdentity() *cobra.Command {
	var at place
	cmd := &cobra.Command{
		Use: "identity", Short: "Say who this agent is and whom it believes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := at.folder()
			if err != nil {
				return err
			}
			set, err := identity.Read(dir)
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), set)
		},
	}
	at.flags(cmd)
	return cmd
}

func show(w io.Writer, s *identity.Set) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "site\t%s\n", s.Name.Site)
	fmt.Fprintf(t, "agent\t%s\n", s.Name.Agent)
	fmt.Fprintf(t, "fleet\t%s\n", s.Name.Fleet)
	fmt.Fprintf(t, "certificate\t%s, from %s to %s\n", s.Certificate.SerialNumber.Text(16), date(s.Certificate.NotBefore), date(s.Certificate.NotAfter))
	for _, c := range s.Roots {
		fmt.Fprintf(t, "authority\t%s, %s to %s (%q)\n", enroll.PinOf(c), date(c.NotBefore), date(c.NotAfter), c.Subject.CommonName)
	}
	for _, c := range s.Collectors {
		fmt.Fprintf(t, "collector\t%s\n", c)
	}
	return t.Flush()
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
