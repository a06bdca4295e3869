// Package identify says what a device is: vendor, model, version, serial number, class, each with its evidence.
//
// A device that speaks SNMP names its make in sysObjectID, a number from the maker's own branch of the tree
// (1.3.6.1.4.1.ENTERPRISE...), and describes itself in sysDescr, free text. Where model, version and serial number
// stand differs from maker to maker and from line to line: in ENTITY-MIB (RFC 6933), in a scalar of the maker's own,
// in the middle of sysDescr, or nowhere. That knowledge is data: profiles in YAML (folder profiles, and a folder of
// the user's). There is no code for any vendor here.
//
// All profiles that fit a device are put in order, the closest first. For each fact the sources of the first profile
// are tried in turn, then those of the next; the first value that is not junk counts. So a profile for a line of
// switches need only say what is special to it: the maker's profile and the generic one (ENTITY-MIB and other
// standards) stand behind it. A profile may say of a fact that no other source is to be trusted (final). Where nothing
// is found nothing is said: a wrong answer is worse than none.
//
// Asking is cheap: one request for the system group, one or two for all scalars that the fitting profiles name, and
// a bounded walk per table column that is really needed.
package identify
