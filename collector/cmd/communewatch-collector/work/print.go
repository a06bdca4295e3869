package work

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"communewatch/collector/assign"
	"communewatch/collector/assign/cost"
	"communewatch/collector/plans"
)

// shownAlike is how many agents are named that change in the same way.
const shownAlike = 8

func printNotes(w io.Writer, p *plans.Preview) {
	for _, n := range p.Warnings {
		fmt.Fprintln(w, "warning:", n)
	}
	for _, n := range p.Notes {
		fmt.Fprintln(w, "note:", n)
	}
}

// printPreview says what changes: agents that change alike are told together.
func printPreview(w io.Writer, p *plans.Preview, all bool) {
	printNotes(w, p)
	fmt.Fprintf(w, "%d agents change, %d stay as they are", len(p.Agents), p.Same)
	if p.Empty > 0 {
		fmt.Fprintf(w, "; to %d nothing is assigned", p.Empty)
	}
	fmt.Fprintln(w)
	if p.Values > 0 {
		fmt.Fprintf(w, "%d values of sites change\n", p.Values)
	}
	type alike struct {
		what string
		who  []string
	}
	var groups []*alike
	at := map[string]*alike{}
	for i := range p.Agents {
		a := &p.Agents[i]
		text := describe(&a.Change)
		g := at[text]
		if g == nil {
			g = &alike{what: text}
			at[text], groups = g, append(groups, g)
		}
		g.who = append(g.who, strings.TrimSpace(a.Site+" "+a.Agent))
	}
	slices.SortStableFunc(groups, func(a, b *alike) int { return cmp.Compare(len(b.who), len(a.who)) })
	for _, g := range groups {
		who := g.who
		more := ""
		if len(who) > shownAlike && !all {
			more = fmt.Sprintf(", and %d more", len(who)-shownAlike)
			who = who[:shownAlike]
		}
		fmt.Fprintf(w, "\n%s%s:\n%s", strings.Join(who, ", "), more, g.what)
	}
	printLines(w, p)
}

// describe says what becomes different for an agent.
func describe(c *assign.Change) string {
	var b strings.Builder
	switch {
	case c.Begins:
		fmt.Fprintf(&b, "  begins with %d checks\n", len(c.Added))
	case c.Ends:
		b.WriteString("  nothing is assigned any more; it goes back to its own settings file\n")
	}
	if !c.Ends {
		for _, k := range c.Added {
			fmt.Fprintf(&b, "  + %s (%s, every %v)\n", k.Name, k.Kind, k.Every())
		}
		for _, k := range c.Removed {
			fmt.Fprintf(&b, "  - %s\n", k.Name)
		}
	}
	for _, k := range c.Changed {
		for _, f := range k.Fields {
			fmt.Fprintf(&b, "  ~ %s: %s\n", k.Name, field(f))
		}
	}
	for _, f := range c.Other {
		fmt.Fprintf(&b, "  ~ %s\n", field(f))
	}
	return b.String()
}

func field(f assign.FieldChange) string {
	return fmt.Sprintf("%s: %s -> %s", f.Field, cmp.Or(f.Before, "(none)"), cmp.Or(f.After, "(none)"))
}

// maxLines is how many lines of sites are printed; those above the limits first.
const maxLines = 30

// printLines says what lines are taken more or less of.
func printLines(w io.Writer, p *plans.Preview) {
	list := slices.Clone(p.Lines)
	slices.SortStableFunc(list, func(a, b plans.LineChange) int {
		return cmp.Compare(weight(b), weight(a))
	})
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, "\nWhat checks take of lines, on average and at once (a call, a burst of pings):")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SITE\tLINE\tBEFORE\tAFTER\tAT ONCE\tCALLS/DAY\t")
	for _, l := range list[:min(len(list), maxLines)] {
		warning := ""
		if l.OverAverage || l.OverPeak {
			warning = "too much of the line"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%.0f min\t%s\n", l.Site, l.After.Path, rate(l.Before.UpBPS, l.Before.DownBPS), rate(l.After.UpBPS, l.After.DownBPS),
			rate(l.After.PeakUpBPS, l.After.PeakDownBPS)+share(l.After.Peak), l.After.MediaMinutesPerDay, warning)
	}
	tw.Flush()
	if more := len(list) - maxLines; more > 0 {
		fmt.Fprintf(w, "and %d lines more\n", more)
	}
}

func weight(l plans.LineChange) float64 {
	if l.OverAverage || l.OverPeak {
		return 2 + max(l.After.Average, l.After.Peak)
	}
	return max(l.After.Average, l.After.Peak)
}

// rate writes bit/s up and down.
func rate(up, down float64) string {
	one := func(v float64) string {
		switch {
		case v >= 1e6:
			return fmt.Sprintf("%.1fM", v/1e6)
		case v >= 1e3:
			return fmt.Sprintf("%.1fk", v/1e3)
		}
		return fmt.Sprintf("%.0f", v)
	}
	return one(up) + "/" + one(down) + " bit/s"
}

func share(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.0f %%)", 100*v)
}

// printSite says what an agent gets.
func printSite(w io.Writer, s *plans.Site) error {
	if !s.Assigned {
		fmt.Fprintf(w, "nothing is assigned to %s (%s) by version %d of the plan; its agent works by its own settings file\n", s.Given.Site, s.SiteName, s.Version)
	} else {
		fmt.Fprintf(w, "%s (%s), version %d of the plan\n", s.Given.Site, s.SiteName, s.Version)
	}
	for _, p := range s.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
	for _, n := range s.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	if len(s.Secrets) > 0 {
		fmt.Fprintln(w, "secrets:", strings.Join(s.Secrets, ", "))
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CHECK\tKIND\tADDRESS\tPATH\tEVERY\tUP/DOWN\tFROM")
	for _, c := range s.Checks {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%v\t%s\t%s\n", c.Name, c.Kind, cmp.Or(c.Address, "-"), c.Path, c.Every(), rate(c.Cost.UpBPS, c.Cost.DownBPS), c.From)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, l := range s.Lines {
		fmt.Fprintln(w, lineText(l))
	}
	if s.Assigned {
		fmt.Fprintf(w, "sending results: %s\n", rate(s.Reporting.UpBPS, s.Reporting.DownBPS))
	}
	return nil
}

func lineText(l cost.Line) string {
	return fmt.Sprintf("%s: %s%s on average, %s%s at once, %.1f packets/s, %.0f minutes of calls a day", l.Path, rate(l.UpBPS, l.DownBPS), share(l.Average),
		rate(l.PeakUpBPS, l.PeakDownBPS), share(l.Peak), l.PacketsPerSecond, l.MediaMinutesPerDay)
}
