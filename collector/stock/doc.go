// Package stock is the inventory as reviewers read it: devices as probes found them, joined with what was bought, what
// people entered and what the catalogue says, judged on a day of the reader's choice.
//
// Facts stay apart by their source. Which of them the rules go by is decided here and shown: the most confident and,
// among equals, the newest; what a person entered with a document goes before what a probe guessed. A conflict stays
// visible. What the rules say comes from inventory/lifecycle, which knows no database.
package stock
