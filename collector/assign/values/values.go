// Package values is what differs from site to site: how it is declared, how it is kept, and how it comes into the texts of a
// plan in the place of ${name}.
package values

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"communewatch/collector/assign/reach"
	"communewatch/probes"
	"communewatch/probes/settings"
)

// Type is what a value may be.
type Type string

// The types of values. An empty Type is text.
const (
	TypeText     Type = "text"
	TypeName     Type = "name"
	TypeNumber   Type = "number"
	TypeSwitch   Type = "switch"    // true or false
	TypeDuration Type = "duration"  // 30s
	TypeAddress  Type = "address"   // an IP address
	TypePrefix   Type = "prefix"    // 192.168.1.0/24
	TypeHost     Type = "host"      // an IP address or a name
	TypeHostPort Type = "host_port" // with a port
	TypeURL      Type = "url"
	TypeSecret   Type = "secret" // the name of a secret; in a check it stands for the secret itself
)

// Types lists the types of values.
func Types() []Type {
	return []Type{TypeText, TypeName, TypeNumber, TypeSwitch, TypeDuration, TypeAddress, TypePrefix, TypeHost, TypeHostPort, TypeURL, TypeSecret}
}

// Value is the declaration of what differs from site to site.
type Value struct {
	Note     string        `yaml:"note"` // for people
	Type     Type          `yaml:"type"`
	List     bool          `yaml:"list"`     // a site may have several
	Headings []string      `yaml:"headings"` // of its column in lists of sites, beside its own name
	Default  settings.Node `yaml:"default"`  // of sites that have none

	Fallback []string `yaml:"-"` // the default, read
}

// Bounds of what a value is set to.
const (
	maxEntries = 100
	maxEntry   = 300 // bytes
	maxTables  = 4 << 20
)

// Check tells whether a value may be set to a list of texts. secrets are those there are; nil: nobody knows.
func (v *Value) Check(list []string, secrets map[string]bool) error {
	if len(list) > 1 && !v.List {
		return fmt.Errorf("there are %d, and it is one value and no list", len(list))
	}
	if len(list) > maxEntries {
		return fmt.Errorf("%d entries are too many; the most is %d", len(list), maxEntries)
	}
	for i, text := range list {
		if err := v.Type.check(text); err != nil {
			return err
		}
		if v.Type == TypeSecret && secrets != nil && !secrets[text] {
			return fmt.Errorf("secret %.60q is not listed under secrets%s", text, Near(text, slices.Sorted(maps.Keys(secrets))))
		}
		if slices.Contains(list[:i], text) {
			return fmt.Errorf("%.60q is there twice", text)
		}
	}
	return nil
}

// check tells whether a text is of the type.
func (t Type) check(text string) error {
	switch {
	case text == "" || len(text) > maxEntry || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("%.60q is not 1 to %d bytes of plain text", text, maxEntry)
	case strings.Contains(text, "${"):
		return fmt.Errorf("%.60q refers to something; a value is what it is", text)
	}
	wrong := func(what string) error { return fmt.Errorf("%.60q is not %s", text, what) }
	switch t {
	case TypeName, TypeSecret:
		return probes.CheckName(text)
	case TypeNumber:
		if f, err := strconv.ParseFloat(text, 64); err != nil || f-f != 0 {
			return wrong("a number")
		}
	case TypeSwitch:
		if text != "true" && text != "false" {
			return wrong("true or false")
		}
	case TypeDuration:
		if d, err := time.ParseDuration(text); err != nil || d <= 0 {
			return wrong("a duration such as 30s, 5m or 1h")
		}
	case TypeAddress:
		if a, err := netip.ParseAddr(text); err != nil || a.Zone() != "" {
			return wrong("an IP address such as 192.168.1.1")
		}
	case TypePrefix:
		if p, err := netip.ParsePrefix(text); err != nil || p != p.Masked() {
			return wrong("a prefix such as 192.168.1.0/24")
		}
	case TypeHost:
		if !reach.Host(text) {
			return wrong("an IP address or a name such as hub.example.gov.vn")
		}
	case TypeHostPort:
		h, port, err := net.SplitHostPort(text)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || !reach.Host(h) {
			return wrong("a host with a port, such as 10.100.0.20:5061")
		}
	case TypeURL:
		if u, err := url.Parse(text); err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
			return wrong("an address such as https://portal.example.gov.vn/")
		}
	}
	return nil
}

// Table is what sites have, by site and value: what people keep as a list. A nil Table is an empty one.
type Table map[string]map[string][]string

// ParseTable reads what Table.Text writes.
func ParseTable(text string) (Table, error) {
	if len(text) > maxTables {
		return nil, fmt.Errorf("values of sites: larger than %d bytes", maxTables)
	}
	if text == "" {
		return nil, nil
	}
	var t Table
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	if err := dec.Decode(&t); err != nil {
		return nil, fmt.Errorf("values of sites: %w", err)
	}
	if dec.More() {
		return nil, errors.New("values of sites: more follows")
	}
	for id, values := range t {
		if err := probes.CheckName(id); err != nil {
			return nil, fmt.Errorf("values of sites: %w", err)
		}
		for name, list := range values {
			if err := probes.CheckName(name); err != nil {
				return nil, fmt.Errorf("values of site %s: %w", id, err)
			}
			if len(list) > maxEntries {
				return nil, fmt.Errorf("values of site %s: %s: %d entries are too many", id, name, len(list))
			}
			for _, text := range list {
				if err := TypeText.check(text); err != nil {
					return nil, fmt.Errorf("values of site %s: %s: %w", id, name, err)
				}
			}
		}
	}
	return t, nil
}

// Text writes the table: the same table always as the same text.
func (t Table) Text() string {
	clean := make(Table, len(t))
	for id, values := range t {
		kept := map[string][]string{}
		for name, list := range values {
			if len(list) > 0 {
				kept[name] = list
			}
		}
		if len(kept) > 0 {
			clean[id] = kept
		}
	}
	if len(clean) == 0 {
		return ""
	}
	text, err := json.MarshalIndent(clean, "", " ")
	if err != nil { // of strings in maps: it can't be
		panic(err)
	}
	return string(text) + "\n"
}

// Set returns the table with what other says of it: a value that other has replaces it, an empty list takes it away.
func (t Table) Set(other Table) Table {
	out := make(Table, len(t))
	for id, values := range t {
		out[id] = values
	}
	for id, values := range other {
		merged := make(map[string][]string, len(out[id])+len(values))
		for name, list := range out[id] {
			merged[name] = list
		}
		for name, list := range values {
			if merged[name] = list; len(list) == 0 {
				delete(merged, name)
			}
		}
		if out[id] = merged; len(merged) == 0 {
			delete(out, id)
		}
	}
	return out
}

// Near names the known name that is most like one that is not, for a message: the longest common beginning and end.
func Near(name string, known []string) string {
	best, most := "", len(name)/2
	for _, k := range known {
		head, tail, least := 0, 0, min(len(k), len(name))
		for head < least && k[head] == name[head] {
			head++
		}
		for tail < least-head && k[len(k)-1-tail] == name[len(name)-1-tail] {
			tail++
		}
		if alike := head + tail - max(0, len(k)-len(name)); alike > most {
			best, most = k, alike
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) > 0 && len(known) <= 12:
		return "; there are " + strings.Join(known, ", ")
	}
	return ""
}
