// Package legal holds the numbers of Vietnamese law that decide whether an office may dispose of equipment and what it
// may buy instead: useful lives by regime, maxima by post, thresholds. They are tables with their norms beside them,
// not advice: who decides reads the gazette.
//
// A regime is the circular in force on a day. Useful lives of Circular 141/2025/TT-BTC were read in a copy whose
// appendix is an image, so they are marked as not verified until somebody has compared them with the gazette.
package legal
