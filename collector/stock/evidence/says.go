package evidence

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/identity"
	"communewatch/inventory/lifecycle/legal"
	"communewatch/probes"
)

// What people can say of a device beside the facts that probes read.
const (
	SaysReachable     = "reachable"
	SaysOnlyUplink    = "only_uplink"
	SaysService       = "service"
	SaysIsolated      = "isolated"
	SaysWifi          = "wifi"
	SaysPlatform      = "platform"
	SaysFlag          = "flag"
	SaysInService     = "in_service"
	SaysWarrantyUntil = "warranty_until"
	SaysPrice         = "price"
	SaysReplacePrice  = "replace_price"
	SaysEquivalentNew = "equivalent_new"
	SaysLifeYears     = "life_years"
	SaysPost          = "post"
	SaysSurplus       = "surplus"
)

// Saying is one thing that people can say of a device.
type Saying struct {
	Name, Doc string
	check     func(string) error
}

// Sayings lists all that people can say of a device, beside the facts of probes.FactNames.
func Sayings() []Saying {
	return []Saying{
		{SaysReachable, "it can be reached from outside the office: yes or no", yesNo},
		{SaysOnlyUplink, "the office has no other way out: yes or no", yesNo},
		{SaysService, "the conference or the one-stop desk depends on it: yes or no", yesNo},
		{SaysIsolated, "it is kept apart from the network: how, in words, or no", nil},
		{SaysWifi, "its radio and ciphers, such as: 802.11n wpa2", nil},
		{SaysPlatform, "the conference platform it is used with: teams, zoom", nil},
		{SaysFlag, "what its maker's own controller says: model_in_eol=true", nil},
		{SaysInService, "the day it was put into service", day},
		{SaysWarrantyUntil, "the last day of its warranty", day},
		{SaysPrice, "what it cost, in whole VND", money},
		{SaysReplacePrice, "what the proposed replacement costs, in whole VND", money},
		{SaysEquivalentNew, "what an equivalent new one costs, in whole VND", money},
		{SaysLifeYears, "its useful life by the ledger, in years", years},
		{SaysPost, "the post of who uses it, as norms tell them apart: " + strings.Join(legal.Posts(), " or "), post},
		{SaysSurplus, "its office does not need it and another may have it: yes or no", yesNo},
	}
}

// NormalOn is Normal on a day: nothing was put into service, or made, after it. A wrong day would hide what the rules
// know of the device.
func NormalOn(name, value string, today inventory.Date) (string, error) {
	value, err := Normal(name, value)
	if err != nil {
		return "", err
	}
	if d, err := inventory.ParseDate(value); err == nil && (name == SaysInService || name == string(probes.FactMade)) && d.After(today.Time) {
		return "", fmt.Errorf("%s: %s is yet to come (today is %s); write the day of the handover record", name, d, today)
	}
	return value, nil
}

// oldest is the first day that a device may be of: what offices use is younger, and a mistyped year often is not.
const oldest = 1990

// Normal checks what somebody wants to say of a device, and returns it as it is kept.
func Normal(name, value string) (string, error) {
	value = strings.Join(strings.Fields(value), " ")
	if value == "" {
		return "", fmt.Errorf("the value of %s is empty; withdraw what was said with --withdraw", name)
	}
	if name == string(probes.FactClass) && !slices.Contains(probes.Classes(), value) {
		return "", fmt.Errorf("%q is no class; use one of %s", value, strings.Join(probes.Classes(), ", "))
	}
	for _, f := range probes.FactNames() {
		if string(f) == name {
			if len(value) > probes.MaxText {
				return "", fmt.Errorf("the value of %s is longer than %d bytes", name, probes.MaxText)
			}
			return value, genuine(f, value)
		}
	}
	var names []string
	for _, s := range Sayings() {
		if s.Name != name {
			names = append(names, s.Name)
			continue
		}
		if s.check == nil {
			return value, nil
		}
		if name == SaysPrice || name == SaysReplacePrice || name == SaysEquivalentNew {
			value = strings.NewReplacer(".", "", ",", "", " ", "").Replace(value)
		}
		if d, err := inventory.ParseDate(value); err == nil && (name == SaysInService || name == SaysWarrantyUntil) {
			value = d.String()
		}
		if err := s.check(value); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return value, nil
	}
	for _, f := range probes.FactNames() {
		names = append(names, string(f))
	}
	return "", fmt.Errorf("%.40q can't be said of a device; use one of %s", name, strings.Join(names, ", "))
}

// genuine says what is wrong with a value that would hide what probes read, and says nothing itself.
func genuine(f probes.FactName, value string) error {
	switch f {
	case probes.FactSerial:
		if n := identity.NormalSerial(value); probes.Placeholder(value) || !identity.TrustedSerial(n) {
			return fmt.Errorf("serial: %.40q identifies nothing: many devices have it, or it is too short; copy the number from the name plate, or say nothing", value)
		}
	case probes.FactVendor, probes.FactModel:
		if probes.Placeholder(value) {
			return fmt.Errorf("%s: %.40q is what makers leave where they say nothing; copy it from the name plate, or say nothing", f, value)
		}
	case probes.FactMade:
		if err := day(value); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

func yesNo(s string) error {
	if s != "yes" && s != "no" {
		return fmt.Errorf("%.40q is neither yes nor no", s)
	}
	return nil
}

func post(s string) error {
	if !slices.Contains(legal.Posts(), s) {
		return fmt.Errorf("%.40q is no post; write %s", s, strings.Join(legal.Posts(), " or "))
	}
	return nil
}

func day(s string) error {
	d, err := inventory.ParseDate(s)
	if err == nil && d.Year() < oldest {
		err = fmt.Errorf("%s is before %d; write the year in full, such as 2016-07-01", d, oldest)
	}
	return err
}

// The least and the most that a device costs, in VND. Less is a price in thousands, more is a whole purchase.
const minPrice, maxPrice = 100_000, 20_000_000_000

func money(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < minPrice || n > maxPrice {
		return fmt.Errorf("%.40q is no price of one device, which is from %d to %d; write whole VND, such as 12500000", s, minPrice, maxPrice)
	}
	return nil
}

func years(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 50 {
		return fmt.Errorf("%.40q is no number of years from 1 to 50", s)
	}
	return nil
}
