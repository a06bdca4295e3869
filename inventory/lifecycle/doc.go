// Package lifecycle judges equipment: is it technically outdated (rules R01 to R17), and may it by law be replaced
// (L01 to L06). The two are never mixed: technical end of life is no legal ground by itself (QĐ 15/2025/QĐ-TTg
// Art. 3.7), and a legal ground does not make a device outdated.
//
// Everything here is a pure function of an Item, a Catalogue and a date (as of). Unknown is an answer of its own: it
// is neither ok nor outdated, and no finding exists without evidence.
package lifecycle
