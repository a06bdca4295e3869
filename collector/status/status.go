// Package status is what a collector says of its own database, and of how far rollups are: the vocabulary that the
// collector fills in and screens, the JSON API and metrics read.
package status

import (
	"communewatch/collector/history"
	"communewatch/collector/store"
)

// Status is the state of the collector's insides at a moment.
type Status struct {
	Store   Store
	Rollups history.Progress
}

// Store is the state of the database. Away says that it does not answer; Since, Reason and Fix belong to that.
type Store struct {
	store.Condition
	Engine string // embedded or influx, as the settings say
	// Replayed is false from the start until the recent past was read: no results are taken and states are not known
	// until then, which takes a moment, and longer while the database is away.
	Replayed bool
	Warnings []string // what is not right about a database that answers, each with what to do; empty: nothing
}

// Source is who knows; *collector.Collector does.
type Source interface {
	Status() Status
}
