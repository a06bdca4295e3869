package terms

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

	CodeR06Ended       = "r06.ended"
	CodeR06Perhaps     = "r06.perhaps"
	CodeR06Supported   = "r06.supported"
	CodeR06Checked     = "r06.checked"
	CodeR06Undated     = "r06.undated"
	CodeR06Maintenance = "r06.maintenance" // withdrawn or no longer maintained; the end of support is not known
	CodeR07Below       = "r07.below"
	CodeR07Perhaps     = "r07.perhaps"
	CodeR07Fine        = "r07.fine"
	CodeR07Between     = "r07.between" // of a train for which no least version is known
	CodeR08Newest      = "r08.newest"
	CodeR08Behind      = "r08.behind" // older than the newest, and nobody knows by how much
	CodeR08Stale       = "r08.stale"
	CodeR08Recent      = "r08.recent"
	CodeR08Ended       = "r08.ended" // the train has ended: R06 speaks

	CodeR09EOL        = "r09.eol"
	CodeR09MaybeEOL   = "r09.maybe_eol"
	CodeR09Fixable    = "r09.fixable"    // fixed firmware exists, the running one is not known
	CodeR09Compare    = "r09.compare"    // the running one is known, the first fixed one is not
	CodeR09Vulnerable = "r09.vulnerable" // the running version is a vulnerable one
	CodeR10Legacy     = "r10.legacy"
	CodeR10Previous   = "r10.previous"
	CodeR11Certified  = "r11.certified"
	CodeR11BestEffort = "r11.best_effort"
	CodeR11Ended      = "r11.ended"
	CodeR11Other      = "r11.other" // used with another platform
	CodeR12CPU        = "r12.cpu"
	CodeR12TPM        = "r12.tpm"
	CodeR12Both       = "r12.both"
	CodeR12Fits       = "r12.fits" // can move to Windows 11
	CodeR12Unclear    = "r12.unclear"
	CodeR12Newer      = "r12.newer" // not Windows 10 or older

	CodeR13Weak       = "r13.weak"
	CodeR13Newest     = "r13.newest" // and the newest firmware runs
	CodeR13Fine       = "r13.fine"
	CodeR14Cipher     = "r14.cipher"
	CodeR14Generation = "r14.generation"
	CodeR14Fine       = "r14.fine"
	CodeR15End        = "r15.end"
	CodeR15Refresh    = "r15.refresh"
	CodeR15Young      = "r15.young"
	CodeR15Guess      = "r15.guess"
	CodeR15Battery    = "r15.battery"
	CodeR15Future     = "r15.future"
	CodeR16Repair     = "r16.repair"
	CodeR16Failures   = "r16.failures"
	CodeR16Fine       = "r16.fine"
	CodeR17EOL        = "r17.eol"
	CodeR17LTS        = "r17.lts"
	CodeR17Fine       = "r17.fine"
	CodeR17Other      = "r17.other"
	CodeR17None       = "r17.none"

	CodeL01Expired  = "l01.expired"
	CodeL01Running  = "l01.running"
	CodeL01Open     = "l01.open" // depends on the class that the law puts it into
	CodeL01Guess    = "l01.guess"
	CodeL02Dear     = "l02.dear"
	CodeL02Cheap    = "l02.cheap"
	CodeL02None     = "l02.none" // no repair is proposed
	CodeL03Small    = "l03.small"
	CodeL03Asset    = "l03.asset"
	CodeL04Within   = "l04.within"
	CodeL04Over     = "l04.over"
	CodeL04NoNorm   = "l04.no_norm"  // no fixed number, the authority decides
	CodeL04NoTable  = "l04.no_table" // the norm of that day is not in the table
	CodeL05Within   = "l05.within"
	CodeL05Head     = "l05.head"
	CodeL05Province = "l05.province"
	CodeL05TooDear  = "l05.too_dear"
	CodeL05Market   = "l05.market" // no maximum, market price
	CodeL05None     = "l05.none"   // nothing is proposed
	CodeL06Transfer = "l06.transfer"
	CodeL06None     = "l06.none"
)

// Codes lists all codes of findings.
func Codes() []string {
	return []string{
		CodeNoInput, CodeNoRow, CodeUnsourced, CodeNoDate, CodeDisagree, CodeRevision,
		CodeWrongKind, CodeR01Ended, CodeR01Perhaps, CodeR01Weak, CodeR01Undated, CodeR01Retired,
		CodeR01Supported, CodeR01Checked, CodeR02Soon, CodeR02Later, CodeR02Past, CodeR03Ended,
		CodeR03Open, CodeR03Running, CodeR03Past, CodeR04Ended, CodeR04Later, CodeR04OnSale,
		CodeR05Ended, CodeR05Perhaps, CodeR05Extended, CodeR05Supported, CodeR05Edition, CodeR05Embedded,
		CodeR06Ended, CodeR06Perhaps, CodeR06Supported, CodeR06Checked, CodeR06Undated, CodeR06Maintenance,
		CodeR07Below, CodeR07Perhaps, CodeR07Fine, CodeR07Between, CodeR08Newest, CodeR08Behind,
		CodeR08Stale, CodeR08Recent, CodeR08Ended, CodeR09EOL, CodeR09MaybeEOL, CodeR09Fixable,
		CodeR09Compare, CodeR09Vulnerable, CodeR10Legacy, CodeR10Previous, CodeR11Certified, CodeR11BestEffort,
		CodeR11Ended, CodeR11Other, CodeR12CPU, CodeR12TPM, CodeR12Both, CodeR12Fits,
		CodeR12Unclear, CodeR12Newer, CodeR13Weak, CodeR13Newest, CodeR13Fine, CodeR14Cipher,
		CodeR14Generation, CodeR14Fine, CodeR15End, CodeR15Refresh, CodeR15Young, CodeR15Guess,
		CodeR15Battery, CodeR15Future, CodeR16Repair, CodeR16Failures, CodeR16Fine, CodeR17EOL,
		CodeR17LTS, CodeR17Fine, CodeR17Other, CodeR17None, CodeL01Expired, CodeL01Running,
		CodeL01Open, CodeL01Guess, CodeL02Dear, CodeL02Cheap, CodeL02None, CodeL03Small,
		CodeL03Asset, CodeL04Within, CodeL04Over, CodeL04NoNorm, CodeL04NoTable, CodeL05Within,
		CodeL05Head, CodeL05Province, CodeL05TooDear, CodeL05Market, CodeL05None, CodeL06Transfer,
		CodeL06None,
	}
}
