package rules

import (
	"slices"
	"strings"

	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/terms"
)

// NotOffered in front of a protocol says that it was asked for and refused: "no_snmpv3". That a protocol is merely not
// in the list says nothing, except of those that probes always ask for together (TLS and SSL versions, SSH versions,
// and telnet beside SSH).
const NotOffered = "no_"

// protocols is R13: services that protect nothing any more.
func (j *judging) protocols() []terms.Finding {
	const rule = "R13"
	if !j.item.Protocols.Known() {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "protocols")}
	}
	offered := strings.Fields(strings.ToLower(j.item.Protocols.Text))
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(offered, n) })
	}
	f := terms.Finding{Rule: rule, Evidence: evidence("protocols", j.item.Protocols)}
	var weak []string
	only := false // nothing better is offered
	if has("tls1.0", "tls1.1") && !has("tls1.2", "tls1.3") {
		weak, only = append(weak, "tls"), true
		for _, name := range []string{"1.0", "1.1"} {
			if r := j.cat.Protocol("TLS " + name); r != nil && has("tls"+name) {
				f = j.with(f, catalogue.MatchExact, append(f.Rows, r)...)
			}
		}
	}
	if has("ssl2", "ssl3", "sslv2", "sslv3") {
		weak = append(weak, "ssl")
		only = only || !has("tls1.0", "tls1.1", "tls1.2", "tls1.3")
	}
	if has("telnet") && !has("ssh", "ssh1", "ssh2", "https") {
		weak, only = append(weak, "telnet"), true
	}
	if has("ssh1") {
		weak = append(weak, "ssh1")
		only = only || !has("ssh2")
	}
	if has("snmpv1", "snmpv2c") && !has("snmpv3") && has(NotOffered+"snmpv3") {
		weak, only = append(weak, "snmp"), true
	}
	f.Args = args("weak", strings.Join(weak, " "), "offered", j.item.Protocols.Text)
	if len(weak) == 0 {
		f.State, f.Code = terms.StateOK, terms.CodeR13Fine
		return []terms.Finding{f}
	}
	f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR13Weak, terms.S2, terms.ActionReconfigure
	if j.item.Reachable == terms.Yes {
		f.Severity = terms.S3
	}
	if only && j.found("R08").Code == terms.CodeR08Newest {
		f.Code, f.Action = terms.CodeR13Newest, terms.ActionReplace // no newer firmware would bring better ones
	}
	return []terms.Finding{f}
}

// wifi is R14.
func (j *judging) wifi() []terms.Finding {
	const rule = "R14"
	if !j.item.Wifi.Known() {
		if j.class == "access_point" || j.class == "wireless_controller" {
			return []terms.Finding{unknown(rule, terms.CodeNoInput, "wifi")}
		}
		return []terms.Finding{notApplicable(rule, terms.CodeWrongKind)}
	}
	generations := []string{"802.11", "802.11b", "802.11a", "802.11g", "802.11n", "802.11ac", "802.11ax", "802.11be"}
	best, strong, weak := -1, false, false
	for w := range strings.FieldsSeq(strings.ToLower(j.item.Wifi.Text)) {
		best = max(best, slices.Index(generations, w))
		switch w {
		case "wpa2", "wpa3", "ccmp", "aes", "gcmp":
			strong = true
		case "wep", "tkip", "wpa", "wpa1":
			weak = true
		}
	}
	f := terms.Finding{Rule: rule, Evidence: evidence("wifi", j.item.Wifi)}
	if best >= 0 {
		f.Args = args("generation", generations[best])
	}
	n := slices.Index(generations, "802.11n")
	switch {
	case weak && !strong:
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR14Cipher, terms.S3, terms.ActionReconfigure
		if best >= 0 && best < n { // 802.11n and newer can do CCMP
			f.Action = terms.ActionReplace
		}
	case best < 0:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"wifi"}
	case best <= n:
		f.State, f.Code, f.Severity = terms.StateDueSoon, terms.CodeR14Generation, terms.S1
	default:
		f.State, f.Code = terms.StateOK, terms.CodeR14Fine
	}
	return []terms.Finding{f}
}

// flags is R17: what the maker's own controller says of the item.
func (j *judging) flags() []terms.Finding {
	const rule = "R17"
	worst := notApplicable(rule, terms.CodeR17None)
	rank := func(f terms.Finding) int {
		return slices.Index([]terms.State{terms.StateNotApplicable, terms.StateOK, terms.StateReview, terms.StateDueSoon, terms.StateOutdated}, f.State)
	}
	for _, flag := range j.item.Flags {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(flag.Text)), "=")
		f := terms.Finding{Rule: rule, Evidence: []terms.Evidence{{Label: "flag", Value: flag}}, Args: args("flag", flag.Text)}
		switch {
		case name == "model_in_eol" && value == "true":
			f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR17EOL, terms.S3, terms.ActionReplace
		case name == "model_in_lts" && value == "true":
			f.State, f.Code, f.Severity = terms.StateDueSoon, terms.CodeR17LTS, terms.S1
		case (name == "model_in_eol" || name == "model_in_lts") && value == "false":
			f.State, f.Code = terms.StateOK, terms.CodeR17Fine
		case name == "control_hub_lifecycle":
			f = milestone(f, value)
		default:
			continue
		}
		if rank(f) > rank(worst) {
			worst = f
		}
	}
	return []terms.Finding{worst}
}

// milestone reads Cisco Control Hub's lifecycle milestone of a device.
func milestone(f terms.Finding, value string) terms.Finding {
	value = strings.NewReplacer(" ", "_", "-", "_").Replace(value)
	switch value {
	case "end_of_support", "last_day_of_support", "end_of_life":
		f.State, f.Code, f.Severity, f.Action = terms.StateOutdated, terms.CodeR17EOL, terms.S3, terms.ActionReplace
	case "end_of_maintenance", "end_of_sale", "end_of_software_maintenance", "end_of_vulnerability_support":
		f.State, f.Code, f.Severity = terms.StateDueSoon, terms.CodeR17LTS, terms.S1
	case "active", "none", "upcoming":
		f.State, f.Code = terms.StateOK, terms.CodeR17Fine
	default:
		f.State, f.Code, f.Severity, f.Action = terms.StateReview, terms.CodeR17Other, terms.S1, terms.ActionVerify
	}
	return f
}
