package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector/api/equipment"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/registry"
	"communewatch/collector/registry/devices"
	"communewatch/collector/stock"
	"communewatch/collector/stock/evidence"
	"communewatch/inventory"
	"communewatch/inventory/sheet"
	"communewatch/probes"

	"github.com/spf13/cobra"
)

func newInventory(config *configFlag) *cobra.Command {
	return program.Group("inventory", "The equipment: what was found, what was bought, what people say of it",
		newInventoryDevices(config), newInventoryReport(config), newInventoryAdd(config), newFact(config), newTicket(config), newOffice(config),
		newPurchases(config), newLink(config), newUnlink(config), newCatalogue(config), newAudit(config))
}

// withStock opens the inventory as reviewers read it, for one command.
func withStock(cmd *cobra.Command, config *configFlag, do func(*registry.Registry, *stock.Stock) error) error {
	return withRegistry(cmd, config, func(reg *registry.Registry) error {
		s, err := stock.New(stock.Options{Devices: reg.Devices(), Paper: reg.Paper(), Sites: reg})
		if err != nil {
			return err
		}
		return do(reg, s)
	})
}

// questionFlags are the flags that narrow what is listed.
type questionFlags struct {
	q    stock.Query
	asOf string
	f    struct{ standing, phase string }
}

func (f *questionFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.asOf, "as-of", "", "the `day` to judge for, past or to come (default: today)")
	flags.StringVar(&f.q.Lang, "lang", "vi", "language of the sentences: vi or en")
	flags.StringVar(&f.q.Filter.Site, "site", "", "only of this site (an `ID` of sites list)")
	flags.StringVar(&f.q.Filter.District, "district", "", "only of this district")
	flags.StringVar(&f.q.Filter.Class, "class", "", "only of this class, such as switch")
	flags.StringVar(&f.q.Filter.Vendor, "vendor", "", "only of this vendor")
	flags.StringVar(&f.f.phase, "phase", "", `only of this purchase phase; "-" is of none`)
	flags.StringVar(&f.f.standing, "standing", "", "only outdated, fine or unknown")
	flags.StringVar(&f.q.Filter.Search, "search", "", "only with these `words`, without regard to accents and case")
}

func (f *questionFlags) query() (stock.Query, error) {
	q := f.q
	day, err := inventory.ParseDate(f.asOf)
	if err != nil {
		return q, fmt.Errorf("--as-of: %w", err)
	}
	q.AsOf, q.Filter.Phase, q.Filter.Standing = day, f.f.phase, stock.Standing(f.f.standing)
	switch q.Filter.Standing {
	case "", stock.Outdated, stock.Fine, stock.Unknown:
	default:
		return q, fmt.Errorf("--standing: %q is none of outdated, fine, unknown", f.f.standing)
	}
	if q.Lang != "vi" && q.Lang != "en" {
		return q, fmt.Errorf("--lang: %q is neither vi nor en", q.Lang)
	}
	return q, nil
}

func newInventoryDevices(config *configFlag) *cobra.Command {
	var asJSON bool
	var flags questionFlags
	cmd := &cobra.Command{
		Use: "devices [ID]", Short: "Print the devices, the most urgent first, or all that is known of one",
		Example: "  communewatch-collector inventory devices --standing outdated\n  communewatch-collector inventory devices d17",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := flags.query()
			if err != nil {
				return err
			}
			return withStock(cmd, config, func(reg *registry.Registry, s *stock.Stock) error {
				if len(args) == 1 {
					d, err := s.Device(cmd.Context(), args[0], q)
					if errors.Is(err, stock.ErrNoDevice) {
						return unknownDevice(args[0])
					}
					if err != nil {
						return err
					}
					if asJSON {
						return program.PrintJSON(cmd.OutOrStdout(), equipment.NewDeviceDetail(d))
					}
					return printDevice(cmd.OutOrStdout(), &d)
				}
				rows, err := s.Table(cmd.Context(), q)
				if err == nil && len(rows) == 0 {
					err = knownSite(cmd.Context(), reg, q.Filter.Site)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), equipment.List(rows, equipment.NewDevice))
				}
				if len(rows) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "no device fits; agents report them with the checks of kind snmp, sweep and machine")
					return nil
				}
				return printDevices(cmd.OutOrStdout(), rows)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// knownSite says so where a site that was asked for is not in the list.
func knownSite(ctx context.Context, reg *registry.Registry, id string) error {
	if id == "" {
		return nil
	}
	all, err := reg.Sites(ctx, time.Now())
	if err == nil && !slices.ContainsFunc(all, func(s inventory.Site) bool { return s.ID == id }) {
		err = fmt.Errorf("there is no site %.63s; `communewatch-collector sites list` shows all", id)
	}
	return err
}

func unknownDevice(id string) error {
	return fmt.Errorf("%.40q is not in the inventory; `communewatch-collector inventory devices` lists what is", id)
}

func printDevices(w io.Writer, rows []stock.Row) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tSITE\tCLASS\tVENDOR\tMODEL\tVERSION\tSERIAL\tSTATE\tSCORE\tLAST SEEN")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.Site, program.Dash(r.Class), program.Dash(r.Vendor), program.Dash(r.Model), program.Dash(r.Version),
			program.Dash(r.Serial), r.State, r.Score, seenAt(r.LastSeen))
	}
	return tw.Flush()
}

func seenAt(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func printDevice(w io.Writer, d *stock.Device) error {
	fmt.Fprintf(w, "%s: %s %s at %s (%s), %s\n", d.ID, program.Dash(d.Vendor), program.Dash(d.Model), d.Site, d.SiteName, d.State)
	fmt.Fprintf(w, "  %s\n", program.Dash(d.Reason))
	if d.Purchase != nil {
		fmt.Fprintf(w, "  bought: %s, %s (%s, %.0f %% sure)\n", d.Phase, d.Purchase.ID, d.Link, 100*d.LinkConfidence)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nFACT\tVALUE\tUSED\tSURE\tSOURCE\tLAST READ\tBY")
	for _, f := range d.Facts {
		used := map[bool]string{true: "yes", false: "-"}[f.Used]
		if f.Conflict {
			used += " conflict"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%.0f %%\t%s\t%s\t%s\n", f.Name, short(f.Value), used, 100*f.Confidence, short(f.Source), seenAt(f.At), program.Dash(f.By+f.Agent))
	}
	fmt.Fprintln(tw, "\nRULE\tSTATE\tSAYS")
	for _, list := range [][]stock.Finding{d.Findings, d.LegalChecks} {
		for _, f := range list {
			fmt.Fprintf(tw, "%s\t%s\t%s\n", f.Rule, f.State, short(f.Text))
		}
	}
	return tw.Flush()
}

// short cuts a text for a table, and keeps it from steering the terminal.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 60 {
		return string(runes[:59]) + "…"
	}
	return s
}

func newInventoryReport(config *configFlag) *cobra.Command {
	var flags questionFlags
	var format, what string
	cmd := &cobra.Command{
		Use: "report", Short: "Write a report for spreadsheets and programs",
		Example: "  communewatch-collector inventory report --as-of 2027-12-31 --what unsupported --format csv > unsupported.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := flags.query()
			if err != nil {
				return err
			}
			if format != "csv" && format != "json" && format != "xlsx" {
				return fmt.Errorf("--format: %q is none of csv, json, xlsx", format)
			}
			return withStock(cmd, config, func(_ *registry.Registry, s *stock.Stock) error {
				return report(cmd, s, q, what, format)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&format, "format", "csv", "csv, xlsx or json")
	cmd.Flags().StringVar(&what, "what", "devices", "devices, unsupported (by the day of --as-of), replacements, verify (what nobody knows yet), or summary (JSON alone)")
	return cmd
}

func report(cmd *cobra.Command, s *stock.Stock, q stock.Query, what, format string) error {
	var v any
	var rows []stock.Row
	var more sheet.Column // of verify and replacements
	var extra []string
	var err error
	switch what {
	case "devices":
		rows, err = s.Table(cmd.Context(), q)
		v = equipment.List(rows, equipment.NewDevice)
	case "unsupported":
		rows, err = s.Unsupported(cmd.Context(), q)
		v = equipment.List(rows, equipment.NewDevice)
	case "replacements":
		var list []stock.Replacement
		list, err = s.Replacements(cmd.Context(), q)
		more.Heading, v = "may_be_replaced", equipment.List(list, equipment.NewReplacement)
		for _, r := range list {
			rows, extra = append(rows, r.Row), append(extra, r.ReplaceText)
		}
	case "verify":
		var list []stock.Question
		list, err = s.Verify(cmd.Context(), q)
		more.Heading, v = "missing", equipment.List(list, equipment.NewQuestion)
		for _, r := range list {
			rows, extra = append(rows, r.Row), append(extra, r.Text+" ("+r.WhoText+")")
		}
	case "summary":
		if format != "json" {
			return errors.New("a summary has several tables; write it with --format json")
		}
		var sum stock.Summary
		sum, err = s.Summary(cmd.Context(), q)
		v = equipment.NewSummary(sum)
	default:
		return fmt.Errorf("--what: %q is none of devices, unsupported, replacements, verify, summary", what)
	}
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if format == "json" {
		return program.PrintJSON(out, v)
	}
	table := equipment.Sheet(rows)
	if more.Heading != "" {
		table.Columns = append(table.Columns, more)
		for i := range table.Rows {
			table.Rows[i] = append(table.Rows[i], extra[i])
		}
	}
	if format == "xlsx" {
		return sheet.WriteXLSX(out, table)
	}
	return table.WriteCSV(out, ',')
}

// byFlag is the flag of who makes a change, which every change needs.
func byFlag(cmd *cobra.Command, by *string) {
	cmd.Flags().StringVar(by, "by", "", "who says so: your `name`, for the record")
}

// parseDevice reads --device.
func parseDevice(text string) (devices.ID, error) {
	if text == "" {
		return 0, errors.New("give --device ID; `communewatch-collector inventory devices` lists them")
	}
	return devices.ParseID(text)
}

// changed words the outcome of a change.
func changed(err error, object string) error {
	if errors.Is(err, devices.ErrUnknown) {
		return fmt.Errorf("%s: %w", object, err)
	}
	return err
}

func newInventoryAdd(config *configFlag) *cobra.Command {
	var site, source, by string
	cmd := &cobra.Command{
		Use: "add --site ID --source DOCUMENT --by NAME", DisableFlagsInUseLine: true,
		Short: "Add a device that no probe can see; say what it is with: inventory fact set", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				id, err := reg.Devices().Add(cmd.Context(), site, source, by)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), id)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "where it stands (an `ID` of sites list)")
	cmd.Flags().StringVar(&source, "source", "", "the `document` that says so")
	byFlag(cmd, &by)
	return cmd
}

func newFact(config *configFlag) *cobra.Command {
	return program.Group("fact", "What people know of a device", newFactSet(config), newFactWithdraw(config), newFactNames())
}

func newFactSet(config *configFlag) *cobra.Command {
	var device string
	var st devices.Statement
	cmd := &cobra.Command{
		Use: "set --device ID --fact NAME --value VALUE --source DOCUMENT --by NAME", DisableFlagsInUseLine: true,
		Short:   "Say something of a device, with the document it rests on",
		Example: `  communewatch-collector inventory fact set --device d17 --fact model --value WS-C2960-24TT-L --source "photo of the name plate, 2026-11-20" --by "Nguyễn Thị Lan"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if st.Device, err = parseDevice(device); err != nil {
				return err
			}
			if st.Value, err = evidence.NormalOn(st.Name, st.Value, inventory.DateOf(time.Now())); err != nil {
				return err
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				made, err := reg.Devices().Say(cmd.Context(), st)
				if err != nil {
					return changed(err, device)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%v: %s is %s (%s, %s)\n", made.Device, made.Name, made.Value, made.Source, made.By)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "the device's `ID`")
	cmd.Flags().StringVar(&st.Name, "fact", "", "what: `NAME` of `inventory fact names`")
	cmd.Flags().StringVar(&st.Value, "value", "", "its value")
	cmd.Flags().StringVar(&st.Source, "source", "", "the `document` that says so, with number and date")
	byFlag(cmd, &st.By)
	return cmd
}

func newFactWithdraw(config *configFlag) *cobra.Command {
	var device, name, by string
	cmd := &cobra.Command{
		Use: "withdraw --device ID --fact NAME --by NAME", DisableFlagsInUseLine: true,
		Short: "Take back what people said of a device's fact; it stays in the audit", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := parseDevice(device)
			if err != nil {
				return err
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				return changed(reg.Devices().Withdraw(cmd.Context(), id, name, by), device+": nobody says anything of "+name)
			})
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "the device's `ID`")
	cmd.Flags().StringVar(&name, "fact", "", "what")
	byFlag(cmd, &by)
	return cmd
}

func newFactNames() *cobra.Command {
	return &cobra.Command{
		Use: "names", Short: "Print what can be said of a device", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, f := range probes.FactNames() {
				fmt.Fprintf(tw, "%s\twhat probes may read too\n", f)
			}
			for _, s := range evidence.Sayings() {
				fmt.Fprintf(tw, "%s\t%s\n", s.Name, s.Doc)
			}
			return tw.Flush()
		},
	}
}

func newTicket(config *configFlag) *cobra.Command {
	return program.Group("ticket", "Failures, repairs and quotes for repairs", newTicketAdd(config))
}

func newTicketAdd(config *configFlag) *cobra.Command {
	var device, day string
	var t devices.Ticket
	cmd := &cobra.Command{
		Use: "add --device ID --kind KIND --date DAY [--cost VND] [--note TEXT] --by NAME", DisableFlagsInUseLine: true,
		Short:   "Write down that a device failed, was repaired, or what its repair would cost",
		Example: `  communewatch-collector inventory ticket add --device d17 --kind quote --date 2026-11-20 --cost 2500000 --note "thay nguồn" --by "Nguyễn Thị Lan"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if t.Device, err = parseDevice(device); err != nil {
				return err
			}
			if t.Day, err = inventory.ParseDate(day); err != nil {
				return fmt.Errorf("--date: %w", err)
			}
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				made, err := reg.Devices().AddTicket(cmd.Context(), t)
				if err != nil {
					return changed(err, device)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%v: %s of %s written down\n", made.Device, made.Kind, made.Day)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "the device's `ID`")
	cmd.Flags().StringVar(&t.Kind, "kind", "failure", strings.Join(devices.TicketKinds(), ", "))
	cmd.Flags().StringVar(&day, "date", "", "the `day` it happened")
	cmd.Flags().Int64Var(&t.Cost, "cost", 0, "in whole `VND`, when known")
	cmd.Flags().StringVar(&t.Note, "note", "", "what it was")
	byFlag(cmd, &t.By)
	return cmd
}

func newAudit(config *configFlag) *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "audit [OBJECT]", Short: "Print who changed what, the newest first; of a device, a piece, a phase or a row, or of all", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			object := strings.Join(args, "")
			return withRegistry(cmd, config, func(reg *registry.Registry) error {
				list, err := reg.Devices().Audits(cmd.Context(), object, limit)
				if err != nil {
					return err
				}
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), equipment.List(list, newAuditLine))
				}
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "WHEN\tWHO\tWHAT\tOF\tBEFORE\tAFTER")
				for _, a := range list {
					fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", seenAt(a.At), short(a.By), short(a.Action), short(a.Object), program.Dash(short(a.Before)), program.Dash(short(a.After)))
				}
				return tw.Flush()
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with texts in full")
	return cmd
}

// auditLine is a change as programs read it.
type auditLine struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Before string    `json:"before"`
	After  string    `json:"after"`
}

func newAuditLine(a devices.Audit) auditLine { return auditLine(a) }

// maxList bounds what of a file is read; who reads them refuses files that are smaller already.
const maxList = 64 << 20

func readFile(file string) (name string, data []byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, maxList))
	return filepath.Base(file), data, err
}
