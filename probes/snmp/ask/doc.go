// Package ask is the vocabulary in which the rooms below probes/snmp speak of one device: numbered variables (OIDs),
// their values, and the two questions there are, Get and Walk. A live device and a recording of one answer them alike,
// so whatever reads devices can be tried against either.
//
// SNMP (RFC 3411 ff.) is a tree of variables, each with a number such as 1.3.6.1.2.1.1.1.0 and a value of one of a
// dozen types. A scalar ends in .0; a table's cell is column.index. Values are what devices say, so all of them are
// suspect: texts come in any character set, padded with NULs, or are none at all.
package ask
