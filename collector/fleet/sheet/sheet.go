// Package sheet makes the paper that goes to the sites: for each join code a block with the office's name, the code in
// groups of four, until when it is good, and what to type on the machine. It is read by people who know no Linux, often
// over the phone, so it is Vietnamese, large, and one block never breaks across pages.
//
// A sheet holds secrets: whoever has it can let a machine in, once per code. It says so itself.
package sheet

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"

	"communewatch/collector/fleet"
)

// Options say for whom a sheet is made.
type Options struct {
	Title string         // whose it is, such as the province's name; may be empty
	Zone  *time.Location // in which times are shown
	Now   time.Time      // when it is made
	// Addresses are the collector's for agents, to be read out where a code is typed by hand.
	Addresses []string
	// Site returns what people call a site: "phường Tích Sơn (Vĩnh Yên)"; nil, or "": the site's ID alone.
	Site func(id string) string
	// Stylesheet is the address of Style, for pages that allow no style of their own; empty: the sheet carries it.
	Stylesheet string
}

// Style is the sheet's CSS, for who serves it apart.
//
//go:embed sheet.css
var Style string

//go:embed sheet.html
var page string

// block is one code on the sheet.
type block struct {
	Site, Name, Agent, Note, ID string
	Text                        string
	Lines                       []string // the code as it is printed: some groups of four on each
	Until                       string
	Approve, Replace            bool
}

// groupsPerLine is how many groups of a code are printed side by side.
const groupsPerLine = 6

// Render writes the sheet of codes as one HTML page, with nothing to load.
func Render(w io.Writer, codes []fleet.Made, o Options) error {
	t, err := template.New("sheet").Parse(page)
	if err != nil {
		return err
	}
	zone := o.Zone
	if zone == nil {
		zone = time.UTC
	}
	blocks := make([]block, len(codes))
	for i, c := range codes {
		b := block{Site: c.Site, Agent: c.Agent, Note: c.Note, ID: c.ID, Text: c.Text, Until: c.Expires.In(zone).Format("02/01/2006 15:04"),
			Approve: c.Approve, Replace: c.Replace}
		if o.Site != nil {
			b.Name = o.Site(c.Site)
		}
		groups := strings.Split(c.Text, "-")
		for from := 0; from < len(groups); from += groupsPerLine {
			b.Lines = append(b.Lines, strings.Join(groups[from:min(from+groupsPerLine, len(groups))], "-"))
		}
		blocks[i] = b
	}
	return t.Execute(w, struct {
		Options
		Made   string
		Style  template.CSS
		Blocks []block
	}{o, o.Now.In(zone).Format("02/01/2006 15:04"), template.CSS(Style), blocks})
}
