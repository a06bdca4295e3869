package stock

import (
	"context"
	"errors"

	"communewatch/collector/stock/view"
	"communewatch/inventory/lifecycle"
)

// ErrNoDevice says that there is no device of this id.
var ErrNoDevice = errors.New("no such device")

// Reader answers what reviewers ask; *Stock does it. Everything is judged on the day AsOf, which may lie in the past
// or in the future; a zero AsOf is today. What is returned belongs to the caller.
type Reader interface {
	// Table lists devices, most urgent first.
	Table(ctx context.Context, q Query) ([]Row, error)
	// Device returns all that is known of one device, or ErrNoDevice.
	Device(ctx context.Context, id string, q Query) (Device, error)
	// Summary counts what the filter lets through.
	Summary(ctx context.Context, q Query) (Summary, error)
	// Unsupported lists what will have lost its maker's support by AsOf, by the date it does: first of hardware, then of
	// software alone.
	Unsupported(ctx context.Context, q Query) ([]Row, error)
	// Replacements lists what is proposed to be replaced, first the most urgent, with the evidence to print.
	Replacements(ctx context.Context, q Query) ([]Replacement, error)
	// Verify lists what nobody knows yet and somebody could say.
	Verify(ctx context.Context, q Query) ([]Question, error)
	// Purchases lists the purchase phases with what was found of them and what was not.
	Purchases(ctx context.Context, q Query) (Purchases, error)
	// Catalogue lists the rows that devices are judged by, local rows first.
	Catalogue(ctx context.Context) ([]lifecycle.Row, error)
	// Choices lists what the fields of a Filter can be, of all devices.
	Choices(ctx context.Context) (Choices, error)
}

// The shapes of answers; package view explains them.
type (
	Query        = view.Query
	Filter       = view.Filter
	Standing     = view.Standing
	Row          = view.Row
	Device       = view.Device
	Fact         = view.Fact
	Change       = view.Change
	Finding      = view.Finding
	Points       = view.Points
	Purchase     = view.Purchase
	Sighting     = view.Sighting
	Duplicate    = view.Duplicate
	Ticket       = view.Ticket
	Note         = view.Note
	Summary      = view.Summary
	Count        = view.Count
	Use          = view.Use
	FailureRates = view.FailureRates
	FailureRate  = view.FailureRate
	Replacement  = view.Replacement
	Question     = view.Question
	Purchases    = view.Purchases
	Phase        = view.Phase
	Choices      = view.Choices
	Choice       = view.Choice
)

// What shapes say; package view explains it.
const (
	NoPhase   = view.NoPhase
	GoneAfter = view.GoneAfter
	WeakLink  = view.WeakLink
	Outdated  = view.Outdated
	Fine      = view.Fine
	Unknown   = view.Unknown
)
