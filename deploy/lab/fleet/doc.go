// Package fleet says which equipment the lab's sites have: models old and new, as offices have that were given some in
// several phases, with what each device answers and how it is odd. It also writes the list of what was bought,
// and what people know of devices: failures, statements with documents, local rows of the catalogue.
//
// The recordings are the lab's own: written from what vendors' MIBs define, with serial numbers and addresses that no
// real device has. Everything is a function of the sites, so a lab has the same devices at every start.
package fleet
