package identify

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"communewatch/probes/snmp/ask"
)

// found is a value and where it stood.
type found struct {
	value, source string
	confidence    float64
}

// How sure a value is by where it stands, unless the profile says otherwise.
const (
	confidenceOID      = 0.95 // the maker's own variable for just this
	confidenceEntity   = 0.9
	confidenceDescr    = 0.85
	confidenceObjectID = 0.85
	confidenceText     = 0.7
)

// read returns the values that a source gives, in order of preference.
func (e *Engine) read(ctx context.Context, r *reading, s *Source) []found {
	var raw []found
	add := func(v ask.Value, where string, confidence float64) {
		if text := s.text(v); text != "" {
			raw = append(raw, found{text, where, confidence})
		}
	}
	switch {
	case s.OID != "":
		add(r.scalar(ctx, s.OID), "snmp "+string(s.OID), confidenceOID)
	case s.Column != "":
		rows := r.column(ctx, s.Column, maxColumn)
		for _, v := range rows {
			index := v.OID.Index(s.Column)
			if s.Row != "" && index != s.Row {
				continue
			}
			if s.Where != nil && !e.rowIs(ctx, r, s.Where, index) {
				continue
			}
			add(v.Value, "snmp "+string(v.OID), confidenceOID)
		}
	case s.Under != "":
		at := r.under(s.Under)
		if strings.HasSuffix(string(at), ".0") {
			add(r.scalar(ctx, at), "snmp "+string(at), confidenceOID)
		} else if at != "" {
			for _, v := range r.column(ctx, at, maxColumn) {
				add(v.Value, "snmp "+string(v.OID), confidenceOID)
			}
		}
	case s.Entity != "":
		column := entityColumns[s.Entity]
		var vars []ask.Var
		if s.Of == "any" {
			vars = r.column(ctx, column, maxColumn)
		} else {
			vars = r.entity(ctx, column)
		}
		for _, v := range vars {
			add(v.Value, "snmp "+string(v.OID), confidenceEntity)
		}
	case s.Descr != "":
		if text, ok := e.capture(s.Descr, s.To, r.descr); ok {
			raw = append(raw, found{text, "snmp sysDescr", confidenceDescr})
		}
	case s.SysName != "":
		if text, ok := e.capture(s.SysName, s.To, r.sysName); ok {
			raw = append(raw, found{text, "snmp sysName", confidenceText})
		}
	case s.ObjectID != nil:
		if text := lookup(s.ObjectID, r.objectID); text != "" {
			raw = append(raw, found{text, "snmp sysObjectID " + string(r.objectID), confidenceObjectID})
		}
	case s.Text != "":
		raw = append(raw, found{s.Text, "profile", confidenceText})
	case s.Join != nil:
		if f, ok := e.join(ctx, r, s); ok {
			raw = append(raw, f)
		}
	}
	out := raw[:0]
	for _, f := range raw {
		if f.value = e.refine(s, f.value); f.value == "" {
			continue
		}
		if s.Confidence > 0 {
			f.confidence = s.Confidence
		}
		out = append(out, f)
	}
	return out
}

func (e *Engine) join(ctx context.Context, r *reading, s *Source) (found, bool) {
	with := " "
	if s.With != nil {
		with = *s.With
	}
	var parts, where []string
	sure := 1.0
	for i := range s.Join {
		all := e.read(ctx, r, &s.Join[i])
		if len(all) == 0 {
			return found{}, false
		}
		parts = append(parts, all[0].value)
		if all[0].source != "profile" {
			where = append(where, all[0].source)
			sure = min(sure, all[0].confidence)
		}
	}
	return found{strings.Join(parts, with), strings.Join(where, ", "), sure}, true
}

func (e *Engine) rowIs(ctx context.Context, r *reading, w *Where, index string) bool {
	for _, v := range r.column(ctx, w.Column, maxColumn) {
		if v.OID.Index(w.Column) == index {
			return e.patterns.match(w.Is, v.Value.Text())
		}
	}
	return false
}

// text reads a value as the source wants it. Facts are texts: a counter, a gauge or a time under a name that promises
// one is a device's mistake, and its digits would pass for a version. Numbers, OIDs and addresses are taken where the
// source says what they stand for.
func (s *Source) text(v ask.Value) string {
	switch v.Type {
	case ask.Octets, ask.Opaque:
		if s.As == "mac" && len(v.Bytes) == 6 {
			return macText(v.Bytes)
		}
		if s.As == "hex" {
			return fmt.Sprintf("%x", v.Bytes[:min(len(v.Bytes), 64)])
		}
		return plain(v)
	case ask.Integer, ask.Gauge32: // INTEGER and Unsigned32
		if s.As != "number" && s.Map == nil {
			return ""
		}
		return v.Text()
	case ask.ObjectID, ask.IPAddress:
		if s.Map == nil {
			return ""
		}
		return v.Text()
	}
	return ""
}

// plain reads a value that has to be a text; "" if it is none.
func plain(v ask.Value) string {
	if v.Type != ask.Octets && v.Type != ask.Opaque {
		return ""
	}
	return v.Text()
}

func macText(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(parts, ":")
}

// refine applies what a source asks for beyond its place.
func (e *Engine) refine(s *Source, value string) string {
	if s.Match != "" {
		var ok bool
		if value, ok = e.capture(s.Match, s.To, value); !ok {
			return ""
		}
	}
	if s.Map != nil {
		if to, ok := s.Map[value]; ok || s.Only {
			value = to
		}
	}
	if s.Not != "" && e.patterns.match(s.Not, value) {
		return ""
	}
	return strings.TrimSpace(value)
}

// capture applies a pattern: the value is what to makes of it, or its first group that took part, or all it matched.
func (e *Engine) capture(pattern, to, text string) (string, bool) {
	re := e.patterns.get(pattern)
	if re == nil {
		return "", false
	}
	m := re.FindStringSubmatchIndex(text)
	if m == nil {
		return "", false
	}
	if to != "" {
		return strings.Join(strings.Fields(string(re.ExpandString(nil, to, text, m))), " "), true
	}
	return firstGroup(re, text, m), true
}

func firstGroup(re *regexp.Regexp, text string, m []int) string {
	for g := 1; g <= re.NumSubexp(); g++ {
		if m[2*g] >= 0 && m[2*g] < m[2*g+1] {
			return text[m[2*g]:m[2*g+1]]
		}
	}
	if re.NumSubexp() > 0 {
		return ""
	}
	return text[m[0]:m[1]]
}

// lookup finds an OID in a table: itself, or else the longest prefix that is listed with .* behind it.
func lookup(table map[string]string, o ask.OID) string {
	if v, ok := table[string(o)]; ok {
		return v
	}
	for p := string(o); ; {
		dot := strings.LastIndexByte(p, '.')
		if dot < 0 {
			return ""
		}
		p = p[:dot]
		if v, ok := table[p+".*"]; ok {
			return v
		}
	}
}
