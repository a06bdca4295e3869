// Package rules is the rules: R01 to R17 ask whether equipment is technically outdated, L01 to L06 whether the law allows
// its replacement and what may be bought. Each rule gives one finding, with the values and rows it rests on.
//
// A rule that lacks an input, or finds no row, says unknown and names what is missing. A row without a source never
// counts; one of the press may say "perhaps". No rule looks at brand, country, ranges of serial numbers, or absence from
// a list, and none turns an estimate by a maker's policy into a finding.
package rules
