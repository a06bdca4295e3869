package rules

import (
	"strings"

	"communewatch/inventory/lifecycle/catalogue"
	"communewatch/inventory/lifecycle/processor"
	"communewatch/inventory/lifecycle/terms"
	"communewatch/inventory/lifecycle/version"
)

// windows11 is R12: whether a PC with Windows 10 or older can move to a supported Windows.
func (j *judging) windows11() []terms.Finding {
	const rule = "R12"
	it := j.item
	if j.class != "" && !j.pc() {
		return []terms.Finding{notApplicable(rule, terms.CodeWrongKind)}
	}
	if j.class == "" {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "class")}
	}
	if !it.OS.Known() && !it.OSBuild.Known() {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "os")}
	}
	sys := j.cat.System(it.OS.Text, it.OSEdition.Text, it.OSRelease.Text, it.OSBuild.Text, false)
	name := sys.Name
	if name == "" {
		name = it.OS.Text
	}
	old := false
	for _, w := range []string{"Windows 10", "Windows 8", "Windows 7", "Windows Vista", "Windows XP"} {
		old = old || strings.HasPrefix(name, w)
	}
	switch {
	case !old && sys.Windows && !strings.HasPrefix(name, "Windows 11"):
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "os_release")}
	case !old:
		return []terms.Finding{notApplicable(rule, terms.CodeR12Newer)}
	}
	cpu := processor.Of(it.CPU.Text)
	tpm := tpmOf(it.TPM.Text)
	f := terms.Finding{Rule: rule, Evidence: evidence("os", it.OS, "os_build", it.OSBuild, "cpu", it.CPU, "tpm", it.TPM),
		Args: args("system", name, "cpu", it.CPU.Text, "generation", cpu.Label, "tpm", it.TPM.Text)}
	f.Grade = catalogue.ConfC // what Windows 11 asks of a TPM was read in the press
	blocked := cpu.Fit == processor.Below
	if r := j.cat.CPU(cpu.CodeName); r != nil {
		if f = j.with(f, catalogue.MatchExact, r); !blocked {
			f.Grade = catalogue.ConfC // the row is about the processor
		}
	}
	switch {
	case blocked || tpm == terms.No:
		f.State, f.Severity, f.Action, f.Code = terms.StateOutdated, terms.S3, terms.ActionReplace, terms.CodeR12TPM
		if blocked {
			f.Code = terms.CodeR12CPU
		}
		if blocked && tpm == terms.No {
			f.Code = terms.CodeR12Both
		}
		if f.Grade >= catalogue.ConfC { // an old processor that no row names, or a TPM that may only be switched off
			f.State = terms.StateReview
		}
		if r05 := j.found("R05"); r05.State == terms.StateOK { // as a long-term edition is for years to come
			f.State, f.Args["until"] = terms.StateDueSoon, r05.Due.String()
		}
	case cpu.Fit == processor.Fits && tpm == terms.Yes:
		f.State, f.Code = terms.StateOK, terms.CodeR12Fits
	default:
		f.State, f.Code = terms.StateUnknown, terms.CodeNoInput
		if !it.CPU.Known() {
			f.Missing = append(f.Missing, "cpu")
		} else if cpu.Fit == processor.Unclear {
			f.Missing, f.Code = append(f.Missing, "cpu_list"), terms.CodeR12Unclear
		}
		if tpm == terms.Unknown {
			f.Missing = append(f.Missing, "tpm")
		}
	}
	return []terms.Finding{f}
}

// tpmOf reports whether there is a TPM of version 2.0 or above.
func tpmOf(text string) terms.Tri {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return terms.Unknown
	}
	v, ok := version.Parse(text)
	switch {
	case text == "none":
		return terms.No
	case !ok:
		return terms.Unknown
	case v.Numbers[0] >= 2:
		return terms.Yes
	}
	return terms.No
}
