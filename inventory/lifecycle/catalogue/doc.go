// Package catalogue reads lifecycle statements about equipment and finds those that fit a piece of it.
//
// A row says what a source states of a model, a firmware train or an operating system: end of sale, of maintenance,
// of support, whether it is listed as exploited, the least version that is safe. It carries its source, the day on
// which the source was last looked at, and a confidence: A the maker's or the law's own text was read, B a data set
// that cites the maker row by row, C press or resellers, U no source. The rows that come with the program are in
// catalogue.csv; reviewers add their own (confidence "A(local)"), which have a document, a name and a day.
//
// Finding is deliberately narrow. The vendor has to match first. An exact pattern wins over a glob, a longer glob over
// a shorter one, a train of versions is compared number by number (7.1 is not 7.10). A row that does not fit surely
// does not fit: an answer of "nothing found" costs somebody a letter to the distributor, a wrong one costs a device.
package catalogue
