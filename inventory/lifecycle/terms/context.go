package terms

// StaleDays is the age above which the review of a source is stale: the finding stays and is marked. A proposal of the
// rules; an unknown day of review counts as stale too.
const StaleDays = 180

// Context is what legal rules need to know beyond the item. The zero Context is: nothing known.
type Context struct {
	Norm    *NormCount // of the item's kind at its office; nil: not counted
	Surplus *Surplus   // of other offices of the province; nil: not looked for
	Post    string     // whose equipment it is, one of legal.Posts; "": not known
}

// NormCount is what L04 compares. Units are those the office owns and can use, this one included.
type NormCount struct {
	Units int
	Staff int   // people the norm counts
	From  Value // where both numbers come from
}

// Surplus is what L06 looks at: a usable unit that another office does not need.
type Surplus struct {
	Units int    // 0: looked for and none found
	Site  string // where the nearest one is
	Item  string // of the registry
	From  Value  // who said so
}

// Completeness is the share of inputs that are known.
type Completeness struct {
	Known, Wanted int
	Missing       []string // names of the inputs that are not known
}

// Ratio returns the share, 0..1; 0 where nothing is wanted.
func (c Completeness) Ratio() float64 {
	if c.Wanted == 0 {
		return 0
	}
	return float64(c.Known) / float64(c.Wanted)
}
