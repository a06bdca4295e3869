package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"communewatch/probes/snmp/ask"
)

// Options of Record. Zero values mean the defaults beside them.
type Options struct {
	Roots   []ask.OID     // what to walk; DefaultRoots
	Max     int           // variables of one root; 100,000
	Total   int           // variables of all; 200,000
	Within  time.Duration // how long all of it may take; 5 minutes
	Secrets []string      // the community and the passphrases in use: a value that gives one away is not recorded
}

// DefaultRoots returns the branches in which devices keep what they are: the standard MIBs, the vendors' own, the
// engine of SNMPv3, and the branches of ISO, ANSI and IEEE (LLDP, bridges).
func DefaultRoots() []ask.OID {
	return []ask.OID{"1.0.8802", "1.2.840.10006", "1.3.6.1.2.1", "1.3.6.1.4.1", "1.3.6.1.6.3.10", "1.3.111"}
}

// never returns the branches that are not recorded whoever asks: recordings are sent to colleagues and kept in
// repositories.
func never() []ask.OID {
	return []ask.OID{
		"1.3.6.1.6.3.12",         // SNMP-TARGET-MIB: who is told what
		"1.3.6.1.6.3.15",         // users of SNMPv3
		"1.3.6.1.6.3.16",         // VACM: who may read what, by community
		"1.3.6.1.6.3.18",         // SNMP-COMMUNITY-MIB: the communities themselves
		"1.3.6.1.2.1.25.4.2.1.5", // hrSWRunParameters: command lines, with whatever passwords people put there
	}
}

// Record reads a whole device into a recording, as far as the bounds go: some devices have tables without an end. What
// came is returned even with an error; the error says which branches are incomplete.
func Record(ctx context.Context, dev ask.Device, o Options) (*Recording, error) {
	if o.Roots == nil {
		o.Roots = DefaultRoots()
	}
	o.Max, o.Total, o.Within = positive(o.Max, 100_000), positive(o.Total, 200_000), positive(o.Within, 5*time.Minute)
	bounded, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	var all []ask.Var
	var errs []error
	rest := o.Total
	for _, root := range o.Roots {
		if rest == 0 {
			errs = append(errs, fmt.Errorf("%s and what follows: left out, %d variables are enough of one device; it has very many, or a table without an end: %w", root, o.Total, ask.ErrPartial))
			break
		}
		vars, err := dev.Walk(bounded, root, min(o.Max, rest))
		rest -= min(len(vars), rest)
		for _, v := range vars {
			if v, ok := redact(v, o.Secrets); ok {
				all = append(all, v)
			}
		}
		if ctx.Err() == nil && bounded.Err() != nil && err != nil {
			errs = append(errs, fmt.Errorf("%s and what follows: left out, it took longer than %s; the device is slow, or has a table without an end: %w", root, o.Within, ask.ErrPartial))
			break
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", root, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return New(all), errors.Join(errs...)
}

func positive[T int | time.Duration](n, otherwise T) T {
	if n <= 0 {
		return otherwise
	}
	return n
}

// redact returns v as it may be recorded, and false where it may not. A secret is looked for as a whole value and, if
// it is long enough not to be found by chance, within one: devices keep copies of their communities in MIBs of their
// own, and as the index of tables.
func redact(v ask.Var, secrets []string) (ask.Var, bool) {
	if slices.ContainsFunc(never(), v.OID.Below) {
		return v, false
	}
	const byChance = 8
	for _, s := range secrets {
		if s == "" {
			continue
		}
		value := bytes.TrimRight(v.Value.Bytes, "\x00 ")
		if string(value) == s || len(s) >= byChance && bytes.Contains(value, []byte(s)) {
			return v, false
		}
		if index := indexOf(s); bytes.Contains([]byte("."+v.OID+"."), []byte(index)) {
			return v, false
		}
	}
	return v, true
}

// indexOf is a text as the index of a table has it, with dots around.
func indexOf(s string) string {
	out := []byte{'.'}
	for i := range len(s) {
		out = fmt.Appendf(out, "%d.", s[i])
	}
	return string(out)
}
