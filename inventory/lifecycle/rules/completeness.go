package rules

import (
	"communewatch/inventory/lifecycle/terms"
)

// completeness counts which inputs of the technical rules are known, by the kind of equipment.
func (j *judging) completeness() terms.Completeness {
	it := j.item
	type input struct {
		name  string
		known bool
	}
	inputs := []input{{"class", it.Class.Known()}, {"vendor", it.Vendor.Known()}, {"model", it.Model.Known()},
		{"in_service", !it.InService.IsZero()}, {"reachable", it.Reachable != terms.Unknown}, {"protocols", it.Protocols.Known()}}
	if j.computer() {
		inputs = append(inputs, input{"os", it.OS.Known()}, input{"os_release", it.OSRelease.Known() || it.OSBuild.Known()})
	} else {
		inputs = append(inputs, input{"version", it.Version.Known()})
	}
	if j.pc() {
		inputs = append(inputs, input{"os_edition", it.OSEdition.Known()}, input{"cpu", it.CPU.Known()}, input{"tpm", it.TPM.Known()})
	}
	switch j.class {
	case "access_point":
		inputs = append(inputs, input{"wifi", it.Wifi.Known()})
	case "videoconference":
		inputs = append(inputs, input{"platform", it.Platform.Known()})
	}
	c := terms.Completeness{Wanted: len(inputs)}
	for _, in := range inputs {
		if in.known {
			c.Known++
		} else {
			c.Missing = append(c.Missing, in.name)
		}
	}
	return c
}
