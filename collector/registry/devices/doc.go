// Package devices keeps what is known of equipment, in the registry's database: what probes found, what was bought,
// and what people said of it.
//
// # Facts over time
//
// A sighting is what one check read of one device at one moment. Every fact of it is kept as a run: a value with the
// first and the last time that it was read. Rows may come late and in any order, and may come again: each finds its
// place by its own time, so the runs are the same whatever the order of arrival, and an old row never stands before a
// newer one.
//
// # The same device
//
// Which device a sighting is of is decided by inventory/identity from serial numbers, chassis ids and addresses. This
// room brings it the candidates and writes down what it says. When two devices turn out to be one, the younger becomes
// an alias of the older, so that a number in somebody's document is never lost and never means another device.
//
// # People
//
// What people say is never overwritten and never deleted: it is withdrawn, or something newer is said. Each change is
// in the audit, with who made it.
package devices
