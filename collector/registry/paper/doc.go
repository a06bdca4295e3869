// Package paper keeps what is known of equipment from documents: the purchase lists, which bought piece is which device,
// and the catalogue rows that reviewers added. All of it is written by people, so each change says who made it and is
// in the audit of package devices, whose transactions it uses.
package paper
