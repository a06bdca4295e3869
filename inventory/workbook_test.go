package inventory

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/xuri/excelize/v2"
)

func TestReadTables(t *testing.T) {
	book := excelize.NewFile()
	defer book.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(book.SetCellValue("Sheet1", "B2", "Đợt 1"))
	check(book.SetCellValue("Sheet1", "C3", "x"))
	check(book.SetCellValue("Sheet1", "C4", "y"))
	check(book.MergeCell("Sheet1", "B2", "B4"))
	check(book.MergeCell("Sheet1", "A1", "XFD1")) // spread over a matrix it would be 16,384 cells wide
	check(book.SetRowVisible("Sheet1", 3, false))
	for _, name := range []string{"Trống", "Ẩn"} {
		_, err := book.NewSheet(name)
		check(err)
	}
	check(book.SetCellValue("Ẩn", "A1", 12500000))
	check(book.SetSheetVisible("Ẩn", false))
	var file bytes.Buffer
	check(book.Write(&file))
	got, problem := ReadTables(file.Bytes())
	if problem != nil {
		t.Fatal(problem)
	}
	want := []Table{
		{Sheet: "Sheet1", Rows: []Row{{Number: 2, Cells: []string{"", "Đợt 1"}}, {Number: 3, Cells: []string{"", "", "x"}, Hidden: true}, {Number: 4, Cells: []string{"", "", "y"}}},
			Merges: []Merge{{2, 4, 1, 1}, {1, 1, 0, 16383}}},
		{Sheet: "Ẩn", Hidden: true, Rows: []Row{{Number: 1, Cells: []string{"12500000"}}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Table{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !got[0].Spreadsheet() {
		t.Error("a workbook is no spreadsheet")
	}
	got, problem = ReadTables([]byte("a;b\n1;2\n"))
	if problem != nil || len(got) != 1 || len(got[0].Rows) != 2 || got[0].Spreadsheet() {
		t.Errorf("text: %+v, %v", got, problem)
	}
	if got, problem := ReadTables(nil); len(got) != 0 || problem != nil {
		t.Errorf("nothing: %+v, %v", got, problem)
	}
}
