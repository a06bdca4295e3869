package lifecycle

import (
	"testing"

	"communewatch/inventory/lifecycle/terms"
)

func fired(rule string, s Severity, a Action) Finding {
	return Finding{Rule: rule, State: StateOutdated, Severity: s, Action: a}
}

func TestPriority(t *testing.T) {
	soon := func(rule string, s Severity, days string) Finding {
		return Finding{Rule: rule, State: StateDueSoon, Severity: s, Args: map[string]string{"days": days}}
	}
	exposed, uplink, serving := Item{Reachable: Yes}, Item{OnlyUplink: Yes}, Item{Service: Yes}
	both := Item{Reachable: Yes, OnlyUplink: Yes, Service: Yes}
	isolated := Item{Isolated: val("CV 3")}
	for _, tc := range []struct {
		name     string
		item     Item
		findings []Finding
		action   Action
		score    int
		band     Band
	}{
		{"nothing", both, nil, ActionNone, 0, BandNone},
		{"unknown weighs nothing", both, []Finding{{Rule: "R01", State: StateUnknown}}, ActionVerify, 0, BandNone},
		{"S4", Item{}, []Finding{fired("R01", S4, ActionReplace)}, ActionReplace, 70, BandFirst},
		{"S3", Item{}, []Finding{fired("R01", S3, ActionReplace)}, ActionReplace, 50, BandThisYear},
		{"S2", Item{}, []Finding{fired("R15", S2, ActionReplace)}, ActionReplace, 30, BandNextYear},
		{"S1", Item{}, []Finding{fired("R04", S1, ActionVerify)}, ActionVerify, 10, BandWatch},
		{"a further one", Item{}, []Finding{fired("R01", S3, ActionReplace), fired("R15", S2, ActionReplace)}, ActionReplace, 55, BandThisYear},
		{"a further one of S1", Item{}, []Finding{fired("R01", S3, ActionReplace), fired("R14", S1, ActionReplace)}, ActionReplace, 50, BandThisYear},
		{"at most 15 more", Item{}, []Finding{fired("R01", S3, ActionReplace), fired("R09", S2, ""), fired("R10", S2, ""), fired("R13", S2, ""), fired("R15", S2, ""), fired("R16", S2, "")}, ActionReplace, 65, BandThisYear},
		{"R01 and R06 count once", Item{}, []Finding{fired("R01", S3, ActionReplace), fired("R06", S3, ActionUpgradeFirmware)}, ActionReplace, 50, BandThisYear},
		{"R05 and R12 count once", Item{}, []Finding{fired("R05", S3, ActionUpgradeOS), fired("R12", S3, ActionReplace)}, ActionReplace, 50, BandThisYear},
		{"R05 and R12 beside a third count once", Item{}, []Finding{fired("R09", S4, ""), fired("R05", S3, ""), fired("R12", S3, "")}, ActionReplace, 75, BandFirst},
		{"reachable", exposed, []Finding{fired("R01", S3, "")}, ActionReplace, 60, BandThisYear},
		{"the only uplink", uplink, []Finding{fired("R01", S3, "")}, ActionReplace, 60, BandThisYear},
		{"both count once, and the service", both, []Finding{fired("R01", S3, "")}, ActionReplace, 65, BandThisYear},
		{"the service", serving, []Finding{fired("R01", S3, "")}, ActionReplace, 55, BandThisYear},
		{"366 days left", Item{}, []Finding{soon("R02", S1, "366")}, ActionNone, 10, BandWatch},
		{"365 days left", Item{}, []Finding{soon("R02", S2, "365")}, ActionReplace, 35, BandNextYear},
		{"181 days left", Item{}, []Finding{soon("R02", S2, "181")}, ActionReplace, 35, BandNextYear},
		{"180 days left", Item{}, []Finding{soon("R02", S2, "180")}, ActionReplace, 40, BandNextYear},
		{"180 days left, maintenance over", Item{}, []Finding{soon("R02", S2, "180"), soon("R03", S3, "180")}, ActionVerify, 60, BandThisYear},
		{"days of other rules do not count", Item{}, []Finding{soon("R15", S2, "10")}, ActionReplace, 30, BandNextYear},
		{"isolated", isolated, []Finding{fired("R01", S4, "")}, ActionReplace, 50, BandThisYear},
		{"isolated, never below 0", isolated, []Finding{fired("R04", S1, "")}, ActionVerify, 0, BandNone},
		{"an upgrade is capped", both, []Finding{fired("R07", S4, ActionUpgradeFirmware)}, ActionUpgradeFirmware, 40, BandNextYear},
		{"so is a reconfiguration", Item{}, []Finding{fired("R13", S3, ActionReconfigure)}, ActionReconfigure, 40, BandNextYear},
		{"what is below the cap stays", Item{}, []Finding{fired("R13", S2, ActionReconfigure)}, ActionReconfigure, 30, BandNextYear},
		{"never above 100", both, []Finding{fired("R01", S4, ""), fired("R09", S4, ""), fired("R10", S2, ""), fired("R15", S2, ""), soon("R03", S3, "90")}, ActionReplace, 100, BandFirst},
	} {
		p := priorityOf(&tc.item, tc.findings, tc.action)
		if p.Score != tc.score || p.Band != tc.band {
			t.Errorf("%s: %d %s, want %d %s (%v)", tc.name, p.Score, p.Band, tc.score, tc.band, p.Parts)
		}
		sum := 0
		for _, part := range p.Parts {
			sum += part.Points
		}
		if sum != p.Score {
			t.Errorf("%s: the parts add up to %d, the score is %d", tc.name, sum, p.Score)
		}
	}
}

func TestLegalFindingsDoNotWeigh(t *testing.T) {
	p := priorityOf(&Item{}, []Finding{{Rule: "L04", State: StateReview, Severity: S4}}, ActionTransfer)
	if p.Score != 0 {
		t.Errorf("a legal finding weighs %d", p.Score)
	}
}

func TestStateOfAnItem(t *testing.T) {
	of := func(rule string, s State, a Action) Finding { return Finding{Rule: rule, State: s, Action: a} }
	for _, tc := range []struct {
		name     string
		findings []Finding
		want     State
	}{
		{"nothing", nil, StateUnknown},
		{"all unknown", []Finding{of("R01", StateUnknown, ""), of("R10", StateNotApplicable, "")}, StateUnknown},
		{"young, and nobody knows of support", []Finding{of("R01", StateUnknown, ""), of("R15", StateOK, ""), of("R13", StateOK, "")}, StateUnknown},
		{"supported", []Finding{of("R01", StateOK, ""), of("R06", StateUnknown, "")}, StateOK},
		{"supported, to be reconfigured", []Finding{of("R01", StateOK, ""), of("R13", StateOutdated, ActionReconfigure)}, StateDueSoon},
		{"due soon", []Finding{of("R01", StateOK, ""), of("R02", StateDueSoon, "")}, StateDueSoon},
		{"to be reviewed", []Finding{of("R01", StateOK, ""), of("R09", StateReview, "")}, StateReview},
		{"outdated", []Finding{of("R01", StateOK, ""), of("R09", StateReview, ""), of("R06", StateOutdated, ActionUpgradeFirmware)}, StateOutdated},
		{"the law says nothing technical", []Finding{of("L01", StateEligible, ""), of("L04", StateReview, "")}, StateUnknown},
	} {
		if got := stateOf(tc.findings); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestCannotTellIsNotFine(t *testing.T) {
	cat := shipped(t, local("1", "A", "2030-01-01"))
	it := device("switch", "Acme", "Box") // class, vendor and model of seven inputs
	v := Judge(it, cat, day(asOf), Context{})
	if v.State != StateOK || v.Bucket != BucketUnknown || v.Completeness.Known != 3 || v.Completeness.Wanted != 7 {
		t.Errorf("hardly known: %s, %s, %+v", v.State, v.Bucket, v.Completeness)
	}
	it.Protocols, it.Reachable = val("ssh2"), No // five of seven
	if v = Judge(it, cat, day(asOf), Context{}); v.Bucket != BucketFine {
		t.Errorf("known well enough: %s, %+v", v.Bucket, v.Completeness)
	}
	it.InService = day("2019-09-01") // due for a refresh, by its age alone
	if v = Judge(it, shipped(t), day(asOf), Context{}); v.State != StateDueSoon || v.Bucket != BucketUnknown {
		t.Errorf("only its age is known: %s, %s", v.State, v.Bucket)
	}
	group := device("videoconference", "Polycom", "RealPresence Group 500")
	group.Protocols, group.Reachable, group.Version, group.Platform, group.InService = val("https tls1.2"), No, val("6.2.2"), val("sip"), day("2025-01-01")
	if v = Judge(group, shipped(t), day(asOf), Context{}); v.State != StateUnknown || v.Bucket != BucketUnknown || v.Finding("R01").Code != terms.CodeUnsourced {
		t.Errorf("a Group 500: %s, %s; it has to stay unknown until somebody has a letter", v.State, v.Bucket)
	}
}

func TestHardwareThatEndedGoesBeforeUpgrades(t *testing.T) {
	for _, tc := range []struct {
		name     string
		findings []Finding
		want     Action
	}{
		{"an unsafe version on hardware that ended", []Finding{fired("R01", S3, ActionReplace), fired("R07", S4, ActionUpgradeFirmware)}, ActionReplace},
		{"an old PC that fits Windows 11", []Finding{fired("R05", S3, ActionUpgradeOS), fired("R15", S2, ActionReplace)}, ActionUpgradeOS},
		{"an old PC that does not", []Finding{fired("R05", S3, ActionUpgradeOS), fired("R12", S3, ActionReplace)}, ActionReplace},
		{"nothing", nil, ActionVerify},
	} {
		if got := technicalAction(tc.findings, StateUnknown); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	if got := technicalAction(nil, StateOK); got != ActionNone {
		t.Errorf("fine: %q", got)
	}
}
