package purchases

import (
	"encoding/csv"
	"io"

	"communewatch/inventory/purchases/headings"
)

// templateColumns are the columns of the form, in its order.
func templateColumns() []headings.Column {
	return []headings.Column{headings.Number, headings.Phase, headings.Contract, headings.Decision, headings.Received, headings.Item, headings.Model, headings.Vendor, headings.Serial, headings.Unit, headings.Quantity,
		headings.Price, headings.Amount, headings.Warranty, headings.SiteCode, headings.Site, headings.Class, headings.Life, headings.User, headings.Note}
}

// WriteTemplate writes the headings of a list that Read understands, as a CSV file that opens in Excel (UTF-8 with a
// byte order mark, semicolons).
func WriteTemplate(w io.Writer) error {
	if _, err := io.WriteString(w, "\uFEFF"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.Comma, out.UseCRLF = ';', true
	var row []string
	for _, c := range templateColumns() {
		row = append(row, headings.Written(c))
	}
	if err := out.Write(row); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}
