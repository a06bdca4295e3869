package rules

import (
	"communewatch/inventory/lifecycle/legal"
	"communewatch/inventory/lifecycle/terms"
)

// expired is L01: the useful life is over, so that the office may ask for disposal. It need not: what is written off
// and works stays in use (Circular 141/2025/TT-BTC Art. 5.3).
func (j *judging) expired() []terms.Finding {
	const rule = "L01"
	it := j.item
	switch {
	case it.InService.IsZero():
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "in_service")}
	case it.InService.After(j.asOf.Time):
		return []terms.Finding{unknown(rule, terms.CodeR15Future, "in_service")}
	}
	f := terms.Finding{Rule: rule, Evidence: j.inService()}
	life := legal.Life{Norm: "ledger", Years: it.Life, YearsMax: it.Life, Grade: "A", Verified: true}
	if it.Life <= 0 {
		var ok bool
		if life, ok = legal.LifeOf(j.class, j.asOf); !ok {
			f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"class"}
			return []terms.Finding{f}
		}
	}
	f.Grade = life.Grade
	f.Args = args("in_service", it.InService.String(), "years", itoa(life.Years), "norm", life.Norm, "year", itoa(it.InService.Year()+life.YearsMax))
	if life.YearsMax != life.Years {
		f.Args["years_max"] = itoa(life.YearsMax)
	}
	if !life.Verified {
		f.Args["verified"] = "no"
	}
	expired, open := life.Expired(it.InService.Year(), j.asOf.Year())
	switch {
	case guessed(it.InServiceFrom):
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeL01Guess, []string{"in_service"}
	case open:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeL01Open, []string{"legal_class"}
	case expired:
		f.State, f.Code = terms.StateEligible, terms.CodeL01Expired
	default:
		f.State, f.Code = terms.StateNotYet, terms.CodeL01Running
	}
	return []terms.Finding{f}
}

// repair is L02.
func (j *judging) repair() []terms.Finding {
	const rule = "L02"
	it := j.item
	if it.Repair <= 0 || !it.RepairFrom.Known() {
		return []terms.Finding{notApplicable(rule, terms.CodeL02None)}
	}
	price, label, from := j.price()
	f := terms.Finding{Rule: rule, Grade: "A", Evidence: evidence("repair", it.RepairFrom, label, from)}
	if price == 0 {
		f.State, f.Code, f.Missing, f.Grade = terms.StateUnknown, terms.CodeNoInput, []string{"price"}, ""
		return []terms.Finding{f}
	}
	f.Args = args("repair", vnd(it.Repair), "price", vnd(price), "price_kind", label, "percent", percent(it.Repair, price))
	f.State, f.Code = terms.StateNotYet, terms.CodeL02Cheap
	if legal.RepairTooDear(it.Repair, price) {
		f.State, f.Code = terms.StateEligible, terms.CodeL02Dear
	}
	return []terms.Finding{f}
}

// small is L03: no fixed asset, so that the office decides itself.
func (j *judging) small() []terms.Finding {
	const rule = "L03"
	if j.item.Price <= 0 {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "price")}
	}
	_, label, from := j.price()
	f := terms.Finding{Rule: rule, State: terms.StateNotYet, Code: terms.CodeL03Asset, Grade: "A", Evidence: evidence(label, from),
		Args: args("price", vnd(j.item.Price), "threshold", vnd(legal.FixedAssetVND))}
	if j.item.Price < legal.FixedAssetVND {
		f.State, f.Code = terms.StateEligible, terms.CodeL03Small
	}
	return []terms.Finding{f}
}

// count is L04: how many the office has against how many it may have.
func (j *judging) count() []terms.Finding {
	const rule = "L04"
	item := legal.NormedItem(j.class)
	switch {
	case j.class == "":
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "class")}
	case item == "":
		return []terms.Finding{notApplicable(rule, terms.CodeL04NoNorm)}
	case j.ctx.Norm == nil || !j.ctx.Norm.From.Known():
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "norm_count")}
	}
	f := terms.Finding{Rule: rule, Evidence: evidence("norm_count", j.ctx.Norm.From)}
	m, needPost, ok := legal.MaximumOf(item, j.ctx.Post, j.asOf)
	switch {
	case needPost:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"post"}
		return []terms.Finding{f}
	case !ok:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeL04NoTable, []string{"norm"}
		return []terms.Finding{f}
	}
	most := m.Units(j.ctx.Norm.Staff)
	f.Grade = m.Grade
	f.Args = args("units", itoa(j.ctx.Norm.Units), "most", itoa(most), "staff", itoa(j.ctx.Norm.Staff), "norm", m.Norm)
	f.State, f.Code = terms.StateOK, terms.CodeL04Within
	if j.ctx.Norm.Units > most {
		f.State, f.Code, f.Action = terms.StateReview, terms.CodeL04Over, terms.ActionTransfer
	}
	return []terms.Finding{f}
}

// unitPrice is L05: the proposed price against the maximum.
func (j *judging) unitPrice() []terms.Finding {
	const rule = "L05"
	item := legal.NormedItem(j.class)
	switch {
	case j.item.ReplacePrice <= 0:
		return []terms.Finding{notApplicable(rule, terms.CodeL05None)}
	case j.class == "":
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "class")}
	case item == "":
		return []terms.Finding{notApplicable(rule, terms.CodeL05Market)}
	}
	price := j.item.ReplacePrice
	f := terms.Finding{Rule: rule, Evidence: []terms.Evidence{{Label: "replace_price", Value: terms.Value{Text: vnd(price), Method: terms.MethodHand, Source: "proposal"}}}}
	m, needPost, ok := legal.MaximumOf(item, j.ctx.Post, j.asOf)
	switch {
	case needPost:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeNoInput, []string{"post"}
		return []terms.Finding{f}
	case !ok:
		f.State, f.Code, f.Missing = terms.StateUnknown, terms.CodeL04NoTable, []string{"norm"}
		return []terms.Finding{f}
	}
	f.Grade = m.Grade
	f.Args = args("price", vnd(price), "max", vnd(m.Price), "norm", m.Norm, "percent", percent(price-m.Price, m.Price))
	switch m.ApprovalFor(price) {
	case legal.ApprovalNone:
		f.State, f.Code = terms.StateOK, terms.CodeL05Within
	case legal.ApprovalHead:
		f.State, f.Code = terms.StateReview, terms.CodeL05Head
	case legal.ApprovalProvince:
		f.State, f.Code = terms.StateReview, terms.CodeL05Province
	default:
		f.State, f.Code = terms.StateNotAllowed, terms.CodeL05TooDear
	}
	return []terms.Finding{f}
}

// reuse is L06: what another office does not need comes before what is bought.
func (j *judging) reuse() []terms.Finding {
	const rule = "L06"
	s := j.ctx.Surplus
	if s == nil || !s.From.Known() {
		return []terms.Finding{unknown(rule, terms.CodeNoInput, "surplus")}
	}
	f := terms.Finding{Rule: rule, State: terms.StateOK, Code: terms.CodeL06None, Evidence: evidence("surplus", s.From)}
	if s.Units > 0 {
		f.State, f.Code, f.Action = terms.StateReview, terms.CodeL06Transfer, terms.ActionTransfer
		f.Args = args("units", itoa(s.Units), "site", s.Site, "item", s.Item)
	}
	return []terms.Finding{f}
}
