// Package enroll is the command line's part of the fleet: join codes (`enroll`), agents (`agents`) and the authority that
// vouches for them (`authority`). All of it works beside a running collector, which notices within a second.
package enroll

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector"
	"communewatch/collector/authority"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/fleet"
	"communewatch/collector/fleet/sheet"
	"communewatch/collector/registry"
	"communewatch/collector/registry/agents"
	"communewatch/probes/enroll"

	"github.com/spf13/cobra"
)

// New returns the command enroll with all that are below it.
func New(o program.Access) *cobra.Command {
	return program.Group("enroll", "Join codes, by which agents get their identity", newCreate(o), newList(o), newCancel(o))
}

// opened is what the commands work on.
type opened struct {
	cfg *collector.Config
	reg *registry.Registry
	ctx context.Context // says who types
	log *slog.Logger
}

func open(cmd *cobra.Command, o program.Access, do func(opened) error) error {
	cfg, err := o.Config()
	if err != nil {
		return err
	}
	return o.Registry(cmd, func(reg *registry.Registry) error {
		return do(opened{cfg: &cfg, reg: reg, ctx: program.As(cmd.Context()), log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))})
	})
}

func (p opened) authority() (*authority.Authority, error) {
	return collector.OpenAuthority(p.cfg, p.reg, nil, time.Now, p.log)
}

// desk is the fleet. The authority is opened when it is needed, which makes one where there is none.
func (p opened) desk() *agents.Desk {
	return p.reg.Agents().NewDesk(func() (enroll.Pin, []string, error) {
		a, err := p.authority()
		if err != nil {
			return enroll.Pin{}, nil, err
		}
		return collector.Carry(p.cfg, a)()
	})
}

// createFlags are the flags of enroll create.
type createFlags struct {
	want             fleet.NewCode
	sites            []string
	all              bool
	sitesFile, sheet string
}

func newCreate(o program.Access) *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use: "create (--site ID | --sites-file FILE | --all)", DisableFlagsInUseLine: true,
		Short: "Make a join code for a machine, or one for each of many sites",
		Long: `Make a join code: it lets one machine join as an agent of a site, once. It is shown this once; the collector keeps a
hash of it. For one site the code is printed with what to type on the machine, for several as CSV. With --sheet a page to
print is written: one block for each site, in Vietnamese. Whoever has a code can let a machine in: keep it like a password.`,
		Example: `  communewatch-collector enroll create --site s08707
  communewatch-collector enroll create --site s08707 --agent pc-1 --replace --valid 2h --note "new PC after the theft"
  (umask 077; communewatch-collector enroll create --all --approve --valid 7d --sheet ma-tham-gia.html > codes.csv)   # for you alone to read`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(p opened) error { return f.run(cmd, p) })
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.sites, "site", nil, "the site that the machine stands in (an `ID` of sites list); may be given again")
	flags.StringVar(&f.sitesFile, "sites-file", "", "a `FILE` of site IDs, one on each line, or first on each line of a CSV list; - reads standard input")
	flags.BoolVar(&f.all, "all", false, "for all sites")
	flags.StringVar(&f.want.Agent, "agent", "", "the `NAME` that the agent gets (default: the one it asks for)")
	f.want.Valid = 24 * time.Hour
	flags.Var(program.Span{Of: &f.want.Valid}, "valid", "how long the code is good, such as 2h or 7d, up to 30d")
	flags.BoolVar(&f.want.Replace, "replace", false, "an agent of that name is thrown out when the new one comes")
	flags.BoolVar(&f.want.Approve, "approve", false, "somebody has to approve the agent that comes (agents approve)")
	flags.StringVar(&f.want.Note, "note", "", "for people: what it is for")
	flags.StringVar(&f.sheet, "sheet", "", "write a page to print to a new `FILE`, such as codes.html")
	return cmd
}

func (f *createFlags) run(cmd *cobra.Command, p opened) error {
	names, err := siteNames(p.ctx, p.reg)
	if err != nil {
		return err
	}
	many := f.all || f.sitesFile != "" || len(f.sites) > 1
	ids, err := f.choose(cmd.InOrStdin(), names)
	if err != nil {
		return err
	}
	want := make([]fleet.NewCode, len(ids))
	for i, id := range ids {
		want[i] = f.want
		want[i].Site = id
	}
	var paper *os.File
	if f.sheet != "" { // before codes are made that nobody would get to see
		if paper, err = os.OpenFile(f.sheet, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("--sheet: %w", err)
		}
		defer paper.Close()
	}
	made, err := p.desk().CreateCodes(p.ctx, want)
	if err != nil {
		if paper != nil {
			err = errors.Join(err, paper.Close(), os.Remove(f.sheet))
		}
		return err
	}
	if paper != nil {
		err = sheet.Render(paper, made, sheet.Options{Title: p.cfg.Title, Zone: p.cfg.Location(), Now: time.Now(), Addresses: p.cfg.Reach().AgentAddresses(),
			Site: func(id string) string { return names[id] }})
		if err = errors.Join(err, paper.Close()); err != nil {
			return fmt.Errorf("--sheet: %w", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d codes to print in %s; whoever reads it can let machines in\n", len(made), f.sheet)
	}
	if many {
		return printCSV(cmd.OutOrStdout(), made, p.cfg.Location())
	}
	return printOne(cmd.OutOrStdout(), cmd.ErrOrStderr(), made[0], p.cfg.Location())
}

// siteNames is what people call each site today.
func siteNames(ctx context.Context, reg *registry.Registry) (map[string]string, error) {
	all, err := reg.Sites(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(all))
	for _, s := range all {
		text := s.Title()
		if s.Parent != "" {
			text += " (" + s.Parent + ")"
		}
		out[s.ID] = text
	}
	return out, nil
}

// maxSitesFile bounds what of a list is read.
const maxSitesFile = 1 << 20

// choose is the sites that codes are for, each once, in the order in which they were given.
func (f *createFlags) choose(stdin io.Reader, known map[string]string) ([]string, error) {
	given := 0
	for _, set := range []bool{len(f.sites) > 0, f.sitesFile != "", f.all} {
		if set {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("say which sites: --site ID, --sites-file FILE or --all, one of them")
	}
	ids := f.sites
	switch {
	case f.all:
		ids = slices.Sorted(maps.Keys(known))
	case f.sitesFile != "":
		in := stdin
		if f.sitesFile != "-" {
			file, err := os.Open(f.sitesFile)
			if err != nil {
				return nil, fmt.Errorf("--sites-file: %w", err)
			}
			defer file.Close()
			in = file
		}
		var err error
		if ids, err = readIDs(io.LimitReader(in, maxSitesFile)); err != nil {
			return nil, fmt.Errorf("--sites-file: %w", err)
		}
	}
	var out, unknown []string
	seen := map[string]bool{}
	for _, id := range ids {
		if _, ok := known[id]; !ok {
			unknown = append(unknown, fmt.Sprintf("%.63q", id))
		} else if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%w: %s; `communewatch-collector sites list` shows those that are known", fleet.ErrUnknownSite, strings.Join(unknown, ", "))
	}
	if len(out) == 0 {
		return nil, errors.New("there are no sites; import them first with: communewatch-collector sites import FILE")
	}
	return out, nil
}

// readIDs reads the first column of a list; a heading "id" or "site", empty lines and those that begin with # are left
// out.
func readIDs(in io.Reader) (ids []string, err error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.Comment = -1, '#'
	for {
		record, err := r.Read()
		if err == io.EOF {
			return ids, nil
		}
		if err != nil {
			return nil, err
		}
		id := strings.TrimSpace(strings.TrimPrefix(record[0], "\ufeff"))
		if id == "" || len(ids) == 0 && (strings.EqualFold(id, "id") || strings.EqualFold(id, "site")) {
			continue
		}
		ids = append(ids, id)
	}
}

const minute = "2006-01-02 15:04"

func printCSV(w io.Writer, made []fleet.Made, zone *time.Location) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{"site", "agent", "code", "expires"}) // Flush keeps the error
	for _, m := range made {
		_ = out.Write([]string{m.Site, m.Agent, m.Text, m.Expires.In(zone).Format(time.RFC3339)})
	}
	out.Flush()
	return out.Error()
}

// printOne prints the code alone on standard output, so that a script can take it, and what to do with it beside.
func printOne(out, beside io.Writer, m fleet.Made, zone *time.Location) error {
	fmt.Fprintf(beside, "join code %s for site %s, good once, until %s; this is the only time it is shown:\n", m.ID, m.Site, m.Expires.In(zone).Format(minute))
	if _, err := fmt.Fprintln(out, m.Text); err != nil {
		return err
	}
	fmt.Fprintf(beside, `
On a Linux machine of the site:
  sudo apt install ./communewatch-agent_*.deb          (or: sudo dnf install ./communewatch-agent-*.rpm)
  sudo communewatch-agent enroll %[1]s
  systemctl status communewatch-agent

On a Windows machine: unpack the zip, open PowerShell there as administrator, and give the code when it asks:
  powershell -ExecutionPolicy Bypass -File install.ps1
`, m.Text)
	if m.Approve {
		fmt.Fprintf(beside, "\nThen, here:\n  communewatch-collector agents approve %s NAME\n", m.Site)
	}
	return nil
}

// stateOf is a join code's state at a time, in a word.
func stateOf(c *fleet.Code, now time.Time) string {
	switch {
	case !c.Used.IsZero():
		return "used"
	case !c.Cancelled.IsZero():
		return "cancelled"
	case !now.Before(c.Expires):
		return "expired"
	}
	return "open"
}

// codeJSON is a join code as `enroll list --json` prints it.
type codeJSON struct {
	ID        string     `json:"id"`
	State     string     `json:"state"` // open, used, cancelled or expired
	Site      string     `json:"site"`
	Agent     string     `json:"agent"` // "": the name it asks for
	Replace   bool       `json:"replace"`
	Approve   bool       `json:"approve"`
	Note      string     `json:"note"`
	Created   time.Time  `json:"created"`
	By        string     `json:"by"`
	Expires   time.Time  `json:"expires"`
	Used      *time.Time `json:"used"` // null: not
	UsedBy    string     `json:"used_by"`
	Cancelled *time.Time `json:"cancelled"` // null: not
}

// given is nil for the zero time.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func newList(o program.Access) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "list", Short: "Print the join codes that are open, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return open(cmd, o, func(p opened) error {
				codes, err := p.desk().Codes(p.ctx)
				if err != nil {
					return err
				}
				now := time.Now()
				if !all {
					codes = slices.DeleteFunc(codes, func(c fleet.Code) bool { return stateOf(&c, now) != "open" })
				}
				if asJSON {
					out := make([]codeJSON, len(codes))
					for i, c := range codes {
						out[i] = codeJSON{c.ID, stateOf(&c, now), c.Site, c.Agent, c.Replace, c.Approve, c.Note, c.Created, c.By, c.Expires, given(c.Used), c.UsedBy, given(c.Cancelled)}
					}
					return program.PrintJSON(cmd.OutOrStdout(), out)
				}
				if len(codes) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "no join code is open; make one with: communewatch-collector enroll create --site ID")
					return nil
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "ID\tSTATE\tSITE\tAGENT\tUNTIL\tUSED BY\tMADE BY\tNOTE")
				for _, c := range codes {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, stateOf(&c, now), c.Site, cmp.Or(c.Agent, "-"), c.Expires.In(p.cfg.Location()).Format(minute),
						cmp.Or(c.UsedBy, "-"), cmp.Or(c.By, "-"), cmp.Or(c.Note, "-"))
				}
				return tw.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "also those that are used, cancelled or expired")
	return cmd
}

func newCancel(o program.Access) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "Let a join code be good for nothing", Args: program.Exactly(1, "the code's id, as enroll list prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return open(cmd, o, func(p opened) error {
				if err := p.desk().CancelCode(p.ctx, args[0], ""); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "cancelled", args[0])
				return err
			})
		},
	}
}
