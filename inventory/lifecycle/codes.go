package lifecycle

// Codes of findings. Each names one sentence; package wording has the sentences, and a test that none is missing.
const (
	CodeNoInput   = "no_input"   // an input is missing
	CodeNoRow     = "no_row"     // nothing in the catalogue fits
	CodeUnsourced = "unsourced"  // a row fits, and nobody found a source
	CodeNoDate    = "no_date"    // a row fits, and gives no day
	CodeDisagree  = "disagree"   // rows give different days
	CodeRevision  = "revision"   // rows fit some hardware revisions of the model
	CodeWrongKind = "wrong_kind" // the rule is about other kinds of equipment

	CodeR01Ended     = "r01.ended"
	CodeR01Perhaps   = "r01.perhaps" // a weak source says it ended
	CodeR01Weak      = "r01.weak"    // a weak source says it has not ended
	CodeR01Undated   = "r01.undated" // a source calls it end-of-life without a day
	CodeR01Retired   = "r01.retired" // its maker lists it as retired, without a day
	CodeR01Supported = "r01.supported"
	CodeR01Checked   = "r01.checked" // supported, or nothing announced, on the day of review
	CodeR02Soon      = "r02.soon"
	CodeR02Later     = "r02.later"
	CodeR02Past      = "r02.past"
	CodeR03Ended     = "r03.ended"
	CodeR03Open      = "r03.open" // ended, and the end of support is not known
	CodeR03Running   = "r03.running"
	CodeR03Past      = "r03.past"
	CodeR04Ended     = "r04.ended"
	CodeR04Later     = "r04.later" // later dates are known, which count instead
	CodeR04OnSale    = "r04.on_sale"

	CodeR05Ended     = "r05.ended"
	CodeR05Perhaps   = "r05.perhaps"
	CodeR05Extended  = "r05.extended" // a paid extension is proven
	CodeR05Supported = "r05.supported"
	CodeR05Edition   = "r05.edition"  // the edition decides
	CodeR05Embedded  = "r05.embedded" // Android of a device whose maker may differ
)
