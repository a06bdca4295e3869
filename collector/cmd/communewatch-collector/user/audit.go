package user

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"communewatch/collector/audit"
	"communewatch/collector/cmd/communewatch-collector/program"
	kept "communewatch/collector/registry/people"
	"communewatch/inventory"
	"communewatch/inventory/sheet"

	"github.com/spf13/cobra"
)

// NewAudit returns the command audit.
func NewAudit(o program.Access) *cobra.Command {
	return program.Group("audit", "The record of who changed what, and who signed in", newExport(o))
}

func newExport(o program.Access) *cobra.Command {
	var from, to, format, who, act string
	cmd := &cobra.Command{
		Use: "export", Short: "Print the record, the oldest line first",
		Example: `  communewatch-collector audit export --from 2026-11-01 --to 2026-12-01 --format csv > thang-11.csv`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := audit.Filter{Who: who, Act: act}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			if f.From, err = day(from, cfg.Location()); err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			if f.To, err = day(to, cfg.Location()); err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			var write func(io.Writer, []audit.Entry, *time.Location) error
			switch format {
			case "csv":
				write = writeCSV
			case "json":
				write = writeJSON
			default:
				return errors.New("--format: write csv or json")
			}
			return with(o, cmd, func(ctx context.Context, s *kept.Store) error {
				all, err := read(ctx, s, f)
				if err != nil {
					return err
				}
				if len(all) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "nothing in the record fits; --act takes an act such as sign_in.failed, or work. for all that begin so (docs/people.md lists them)")
				}
				return write(cmd.OutOrStdout(), all, cfg.Location())
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "first `day`, such as 2026-11-01 (default: the first there is)")
	cmd.Flags().StringVar(&to, "to", "", "the `day` after the last")
	cmd.Flags().StringVar(&format, "format", "csv", "csv or json")
	cmd.Flags().StringVar(&who, "who", "", "only what this `name` did")
	cmd.Flags().StringVar(&act, "act", "", "only this act, such as sign_in.failed; with a dot at its end all that begin so")
	return cmd
}

// day reads a day or a moment.
func day(text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := inventory.ParseDate(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a day such as 2026-11-01 or 01/11/2026", text)
	}
	return time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, zone), nil
}

// portion is how many lines are read at a time.
const portion = 10_000

func read(ctx context.Context, s *kept.Store, f audit.Filter) (all []audit.Entry, err error) {
	f.Limit = portion
	for {
		some, err := s.Entries(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < portion {
			return oldestFirst(all), nil
		}
		f.Before = some[len(some)-1].ID
	}
}

// writeCSV writes a file for spreadsheets, in which no text is taken for a formula.
func writeCSV(w io.Writer, all []audit.Entry, zone *time.Location) error {
	t := sheet.Sheet{Zone: zone}
	for _, title := range []string{"id", "time", "who", "via", "address", "act", "what", "detail", "ok"} {
		t.Columns = append(t.Columns, sheet.Column{Heading: title})
	}
	for _, e := range all {
		done := "yes"
		if !e.OK {
			done = "no"
		}
		t.Rows = append(t.Rows, []any{e.ID, e.At.In(zone).Format(time.RFC3339), e.Who, e.Via, e.Address, e.Act, e.What, e.Detail, done})
	}
	return t.WriteCSV(w, ',')
}

type entryJSON struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who"`
	Via     string    `json:"via"`
	Address string    `json:"address"`
	Act     string    `json:"act"`
	What    string    `json:"what"`
	Detail  string    `json:"detail"`
	OK      bool      `json:"ok"`
}

func writeJSON(w io.Writer, all []audit.Entry, _ *time.Location) error {
	out := make([]entryJSON, len(all))
	for i, e := range all {
		out[i] = entryJSON(e)
	}
	return program.PrintJSON(w, out)
}
