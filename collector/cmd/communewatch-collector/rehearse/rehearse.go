// Package rehearse is the command line's part of rehearsals: flags, and how plans, progress and results are printed.
// The collector that runs does the rest; what is kept can be read without one.
package rehearse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"communewatch/collector"
	"communewatch/collector/cmd/communewatch-collector/program"
	"communewatch/collector/phrase"
	"communewatch/collector/registry"
	"communewatch/collector/rehearsal"
	"communewatch/collector/rehearsal/judge"
	"communewatch/collector/rehearsal/plan"
	"communewatch/collector/rehearsal/words"

	"github.com/spf13/cobra"
)

// New returns the command rehearsal with all that are below it.
func New(o program.Access) *cobra.Command {
	return program.Group("rehearsal", "All sites call the hub before a meeting, in steps", newPlan(o), newStart(o), newStatus(o), newStop(o), newList(o), newShow(o), newCompare(o), newHold(o))
}

// langFlag is the flag --lang.
type langFlag struct{ name string }

func (f *langFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "lang", "vi", "language of the sentences: vi or en")
}

func (f *langFlag) read() (phrase.Lang, error) {
	l, ok := phrase.Parse(f.name)
	if !ok {
		return l, fmt.Errorf("--lang: %q is neither vi nor en", f.name)
	}
	return l, nil
}

// requestFlags are the flags that say what to rehearse.
type requestFlags struct {
	r  rehearsal.Request
	at string
	by string
}

func (f *requestFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.r.Meeting, "meeting", "", "the meeting's `name`")
	flags.StringVar(&f.r.Profile, "profile", "", "its streams: audio, low, 360p, 720p or 1080p (default 720p)")
	flags.Float64Var(&f.r.AudioKbps, "audio-kbps", 0, "audio of a profile of your own")
	flags.Float64Var(&f.r.VideoKbps, "video-kbps", 0, "video of a profile of your own")
	flags.IntVar(&f.r.FPS, "fps", 0, "its frames per second (default 30)")
	flags.StringVar(&f.r.Sites, "sites", "", "all (default), or ids and district:NAME, separated by commas")
	flags.StringVar(&f.r.Steps, "steps", "", "sites at once, step by step, such as 10,34,68,all")
	flags.IntVar(&f.r.StepSeconds, "step-seconds", 0, "seconds of media in each step, 5 to 60 (default: the settings')")
	flags.StringVar(&f.r.Check, "check", "", "`name` of the agents' webrtc check to call with (default: their first)")
	flags.StringVar(&f.at, "at", "", "begin then, such as 06:30 or 2026-11-30T06:30, in Vietnam (default: now)")
	flags.StringVar(&f.by, "by", "", "who asks (default: the user of this machine)")
	flags.BoolVar(&f.r.Force, "force", false, "go above the hub's capacity all the same")
}

func (f *requestFlags) read(now time.Time) (rehearsal.Request, error) {
	f.r.By = person(f.by)
	if f.at != "" {
		at, err := parseWhen(f.at, now)
		if err != nil {
			return f.r, err
		}
		f.r.At = &at
	}
	return f.r, nil
}

// person is who asks: as they say, else the user that the program runs as.
func person(by string) string {
	if by == "" {
		if u, err := user.Current(); err == nil {
			return u.Username
		}
	}
	return by
}

// parseWhen reads a time of today, or of tomorrow where it has passed, or a time of a day.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", "02/01/2006 15:04"} {
		if t, err := time.ParseInLocation(layout, s, plan.Zone); err == nil {
			return t.UTC(), nil
		}
	}
	if t, err := time.Parse("15:04", s); err == nil {
		y, m, d := now.In(plan.Zone).Date()
		at := time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, plan.Zone)
		if at.Before(now) {
			at = at.AddDate(0, 0, 1)
		}
		return at.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("--at: %.40q is not a time; write 06:30, or 2026-11-30T06:30", s)
}

func newPlan(o program.Access) *cobra.Command {
	var f requestFlags
	var lang langFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use: "plan --meeting NAME", Short: "Say what a rehearsal would ask of the hub, without starting it",
		Example: `  communewatch-collector rehearsal plan --meeting "Giao ban" --profile 720p --steps 10,34,68,all`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			r, err := f.read(time.Now())
			if err != nil {
				return err
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			p, err := draft(cmd, o, cfg, r)
			if err != nil {
				return err
			}
			if asJSON {
				err = program.PrintJSON(cmd.OutOrStdout(), p)
			} else if stands(&p) {
				err = printPlan(cmd.OutOrStdout(), l, &p)
			}
			return errors.Join(err, refusal(&p))
		},
	}
	f.add(cmd)
	lang.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// draft makes a plan: the running collector does, which knows who is connected, or else this program.
func draft(cmd *cobra.Command, o program.Access, cfg collector.Config, r rehearsal.Request) (p rehearsal.Plan, err error) {
	p, err = collector.Rehearsals(cfg).Draft(cmd.Context(), r)
	if !collector.NotRunning(err) {
		return p, err
	}
	err = o.Registry(cmd, func(reg *registry.Registry) error {
		now := time.Now()
		sites, err := reg.Sites(cmd.Context(), now.In(plan.Zone))
		if err == nil {
			p = plan.Make(r, cfg.RehearsalSettings(), plan.Known{Sites: sites, Now: now})
		}
		return err
	})
	return p, err
}

// stands reports whether there is a plan to print: one that can't be made at all has no rates or steps, whereas one that
// is too much for the hub says by how much.
func stands(p *rehearsal.Plan) bool {
	return !slices.ContainsFunc(p.Problems, func(p rehearsal.Problem) bool { return !p.Force })
}

func refusal(p *rehearsal.Plan) error {
	if len(p.Problems) == 0 {
		return nil
	}
	return asFlags(&rehearsal.Refused{Problems: p.Problems})
}

// asFlags turns the names of a refusal's fields into those of flags.
func asFlags(err error) error {
	var refused *rehearsal.Refused
	if !errors.As(err, &refused) {
		return err
	}
	lines := make([]string, len(refused.Problems))
	for i, p := range refused.Problems {
		lines[i] = "--" + strings.ReplaceAll(p.Field, "_", "-") + ": " + p.Text
		if p.Force {
			lines[i] += " with --force"
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

func newStart(o program.Access) *cobra.Command {
	var f requestFlags
	var lang langFlag
	var asJSON, detach bool
	cmd := &cobra.Command{
		Use: "start --meeting NAME", Short: "Start a rehearsal, or plan one with --at, and follow it to its end",
		Example: `  communewatch-collector rehearsal start --meeting "Giao ban" --profile 720p --steps 10,34,68,all
  communewatch-collector rehearsal start --meeting "Giao ban" --at 06:30`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			r, err := f.read(time.Now())
			if err != nil {
				return err
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			client := collector.Rehearsals(cfg)
			p, err := client.Draft(cmd.Context(), r)
			if err != nil {
				return running(err)
			}
			if !asJSON && stands(&p) { // before it begins
				if err := printPlan(cmd.OutOrStdout(), l, &p); err != nil {
					return err
				}
			}
			if err := refusal(&p); err != nil {
				return err
			}
			// From before its beginning, so that nothing is missed.
			next, stop, err := client.Watch(cmd.Context())
			if err != nil {
				return running(err)
			}
			defer stop()
			id, err := client.Start(cmd.Context(), r)
			if err != nil {
				return asFlags(err)
			}
			if asJSON {
				if err := program.PrintJSON(cmd.OutOrStdout(), map[string]string{"id": id.String()}); err != nil {
					return err
				}
			}
			if detach || asJSON || r.At != nil {
				if !asJSON {
					fmt.Fprintf(cmd.OutOrStdout(), "%v: communewatch-collector rehearsal status %v\n", id, id)
				}
				return nil
			}
			return follow(cmd, o, l, id, &p, next)
		},
	}
	f.add(cmd)
	lang.add(cmd)
	cmd.Flags().BoolVar(&detach, "detach", false, "do not follow it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan's id as JSON, and do not follow it")
	return cmd
}

// running says that there must be a collector.
func running(err error) error {
	if collector.NotRunning(err) {
		return errors.New("no collector is running with these settings; agents are told by the one that runs: communewatch-collector serve")
	}
	return err
}

// follow prints what happens until the rehearsal has ended. An interrupt leaves it running.
func follow(cmd *cobra.Command, o program.Access, l phrase.Lang, id rehearsal.ID, p *rehearsal.Plan, next func() (rehearsal.Event, error)) error {
	v := viewer{w: cmd.OutOrStdout(), lang: l, plan: p}
	for {
		e, err := next()
		if cmd.Context().Err() != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%v runs on; see it with: communewatch-collector rehearsal status %v --follow\nand stop it with: communewatch-collector rehearsal stop %v\n", id, id, id)
			return nil
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the collector ended while %v was followed; see later what became of it with: communewatch-collector rehearsal status %v", id, id)
		}
		if err != nil {
			return err
		}
		if e.ID != id {
			continue
		}
		v.show(&e)
		if e.Kind == rehearsal.EventState && e.State.Final() {
			v.flush()
			return show(cmd, o, l, id, false)
		}
	}
}

func newStatus(o program.Access) *cobra.Command {
	var lang langFlag
	var asJSON, following bool
	cmd := &cobra.Command{
		Use: "status [ID]", Short: "Where the rehearsal stands that runs, or another one", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			id, err := optionalID(args)
			if err != nil {
				return err
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			client := collector.Rehearsals(cfg)
			next, stop, err := client.Watch(cmd.Context())
			if err != nil {
				return running(err)
			}
			defer stop()
			st, err := client.Status(cmd.Context(), id)
			if err != nil {
				return err
			}
			if asJSON {
				return program.PrintJSON(cmd.OutOrStdout(), st)
			}
			printStatus(cmd.OutOrStdout(), l, &st)
			if !following || st.State.Final() {
				return nil
			}
			return follow(cmd, o, l, st.ID, nil, next)
		},
	}
	lang.add(cmd)
	cmd.Flags().BoolVar(&following, "follow", false, "go on until it has ended")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func optionalID(args []string) (rehearsal.ID, error) {
	if len(args) == 0 {
		return 0, nil
	}
	return rehearsal.ParseID(args[0])
}

func newStop(o program.Access) *cobra.Command {
	var by string
	var lang langFlag
	cmd := &cobra.Command{
		Use: "stop [ID]", Short: "Stop the rehearsal that runs at once, or take back one that is planned", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			id, err := optionalID(args)
			if err != nil {
				return err
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			if err := collector.Rehearsals(cfg).Stop(cmd.Context(), id, person(by)); err != nil {
				return running(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), pick(l, "đã dừng; đã gửi lệnh tới mọi máy đo", "stopped; all agents were told"))
			return err
		},
	}
	lang.add(cmd)
	cmd.Flags().StringVar(&by, "by", "", "who asks (default: the user of this machine)")
	return cmd
}

func newHold(o program.Access) *cobra.Command {
	var h rehearsal.Hold
	var end bool
	var by string
	var lang langFlag
	cmd := &cobra.Command{
		Use: "hold (--for TIME --meeting NAME | --end)", DisableFlagsInUseLine: true,
		Short:   "Tell all agents to leave the line alone while a meeting is on",
		Example: `  communewatch-collector rehearsal hold --for 3h --meeting "Giao ban"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case end && (h.For != 0 || h.Meeting != ""):
				return errors.New("--end ends the hold that is on; leave out --for and --meeting")
			case !end && (h.For <= 0 || h.Meeting == ""):
				return errors.New("give --for TIME, such as 3h, and --meeting NAME, or --end")
			}
			l, err := lang.read()
			if err != nil {
				return err
			}
			cfg, err := o.Config()
			if err != nil {
				return err
			}
			h.By = person(by)
			made, err := collector.Rehearsals(cfg).Hold(cmd.Context(), h)
			if err != nil {
				return running(asFlags(err))
			}
			if end {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), pick(l, "đã kết thúc giữ đường truyền; đã gửi lệnh tới %d máy đo\n", "the hold has ended; %d agents were told\n"), made.Told)
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), pick(l, "tới %s không máy đo nào gọi thử; đã gửi lệnh tới %d máy đo, các máy khác sẽ nhận khi kết nối\n",
					"until %s no agent starts a media test; %d were told now, others when they connect\n"), local(made.Until), made.Told)
			}
			return err
		},
	}
	lang.add(cmd)
	cmd.Flags().DurationVar(&h.For, "for", 0, "how long, such as 3h, 24h at most")
	cmd.Flags().StringVar(&h.Meeting, "meeting", "", "the meeting's `name`")
	cmd.Flags().BoolVar(&end, "end", false, "end the hold that is on")
	cmd.Flags().StringVar(&by, "by", "", "who asks (default: the user of this machine)")
	return cmd
}

func newList(o program.Access) *cobra.Command {
	var lang langFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "All rehearsals, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			return o.Registry(cmd, func(reg *registry.Registry) error {
				all, err := reg.Rehearsals().List(cmd.Context())
				if err != nil {
					return err
				}
				list := make([]rehearsal.Summary, len(all))
				for i := range all {
					list[i] = judge.Summary(&all[i])
				}
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), list)
				}
				if len(list) == 0 {
					fmt.Fprintln(cmd.ErrOrStderr(), "there was no rehearsal yet; see what one would ask with: communewatch-collector rehearsal plan --meeting NAME")
					return nil
				}
				return printSummaries(cmd.OutOrStdout(), l, list)
			})
		},
	}
	lang.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newShow(o program.Access) *cobra.Command {
	var lang langFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "What a rehearsal came to: the matrix, the hub, what to do", Args: program.Exactly(1, "the rehearsal's id, as rehearsal list prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			id, err := rehearsal.ParseID(args[0])
			if err != nil {
				return err
			}
			return show(cmd, o, l, id, asJSON)
		},
	}
	lang.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func show(cmd *cobra.Command, o program.Access, l phrase.Lang, id rehearsal.ID, asJSON bool) error {
	return o.Registry(cmd, func(reg *registry.Registry) error {
		rep, names, err := readReport(cmd.Context(), reg, id)
		if err != nil {
			return err
		}
		if asJSON {
			return program.PrintJSON(cmd.OutOrStdout(), rep)
		}
		return printReport(cmd.OutOrStdout(), l, &rep, names)
	})
}

// readReport reads a rehearsal, and the names that its sites have today.
func readReport(ctx context.Context, reg *registry.Registry, id rehearsal.ID) (rep rehearsal.Report, names map[string]string, err error) {
	if rep.Record, err = reg.Rehearsals().Get(ctx, id); err != nil {
		return rep, nil, fmt.Errorf("%v: %w", id, err)
	}
	rep.Verdict = judge.Judge(&rep.Record)
	sites, err := reg.Sites(ctx, time.Now().In(plan.Zone))
	if err != nil {
		return rep, nil, err
	}
	names = make(map[string]string, len(sites))
	for _, s := range sites {
		names[s.ID] = s.Name
	}
	return rep, names, nil
}

func newCompare(o program.Access) *cobra.Command {
	var lang langFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use: "compare BEFORE AFTER", Short: "What changed from one rehearsal to a later one", Args: program.Exactly(2, "the ids of two rehearsals"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lang.read()
			if err != nil {
				return err
			}
			var ids [2]rehearsal.ID
			for i := range ids {
				if ids[i], err = rehearsal.ParseID(args[i]); err != nil {
					return err
				}
			}
			return o.Registry(cmd, func(reg *registry.Registry) error {
				before, _, err := readReport(cmd.Context(), reg, ids[0])
				if err != nil {
					return err
				}
				after, names, err := readReport(cmd.Context(), reg, ids[1])
				if err != nil {
					return err
				}
				c := judge.Compare(&before, &after)
				if asJSON {
					return program.PrintJSON(cmd.OutOrStdout(), c)
				}
				return printComparison(cmd.OutOrStdout(), l, &c, names)
			})
		},
	}
	lang.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// local is a time as people of the province write it.
func local(t time.Time) string { return t.In(plan.Zone).Format("15:04 02/01/2006") }

func printSummaries(w io.Writer, l phrase.Lang, list []rehearsal.Summary) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, pick(l, "MÃ\tBẮT ĐẦU\tTRẠNG THÁI\tCUỘC HỌP\tMỨC\tSỐ ĐIỂM\tSỐ BƯỚC\tNGƯỜI YÊU CẦU\tVÌ SAO", "ID\tBEGAN\tSTATE\tMEETING\tPROFILE\tSITES\tSTEPS\tBY\tWHY"))
	for _, s := range list {
		when := "-"
		switch {
		case s.Began != nil:
			when = local(*s.Began)
		case s.At != nil:
			when = local(*s.At)
		}
		fmt.Fprintf(tw, "%v\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", s.ID, when, words.State(l, s.State), s.Meeting, s.Profile, s.Sites, len(s.Steps), cmp.Or(s.By, "-"), cmp.Or(notes(l, s.Why), "-"))
	}
	return tw.Flush()
}

func notes(l phrase.Lang, list []rehearsal.Note) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = words.Note(l, n)
	}
	return strings.Join(out, "; ")
}
