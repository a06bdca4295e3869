package purchases

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"communewatch/inventory"
)

// column is what a column of a purchase list means.
type column int

const (
	colNumber column = iota
	colPhase
	colContract
	colDecision
	colReceived
	colYear
	colItem
	colModel
	colVendor
	colSerial
	colUnit
	colQuantity
	colPrice
	colAmount
	colWarranty
	colWarrantyUntil
	colSiteCode
	colSite
	colParent
	colClass
	colLife
	colUser
	colNote
	colIgnored // known, and of no use here
	columnCount
)

// columnNames lists the headings that people write, folded, the first as the template has it. Longer headings count by
// what they begin with, if that has two words or more.
func columnNames() [columnCount][]string {
	return [columnCount][]string{
		colNumber: {"stt", "tt", "so tt", "so thu tu", "no", "muc"},
		colPhase: {"dot cap", "dot", "dot mua sam", "dot mua", "dot trang bi", "dot dau tu", "goi", "goi thau", "goi mua sam", "phase",
			"du an", "ten du an", "dot ban giao"},
		colContract: {"so hop dong", "hop dong", "so hd", "hd so", "hop dong so", "contract", "contract no", "contract number"},
		colDecision: {"so quyet dinh", "quyet dinh", "qd", "so qd", "quyet dinh cap", "quyet dinh so", "decision"},
		colReceived: {"ngay ban giao", "ngay dua vao su dung", "ngay nhan", "ngay su dung", "ngay cap", "ngay trang bi", "ngay nghiem thu",
			"thoi gian ban giao", "thoi gian dua vao su dung", "thoi diem dua vao su dung", "thoi gian trang bi", "ngay lap dat", "ngay mua",
			"date received", "received", "in service", "ngay thang nam dua vao su dung", "ngay ban giao dua vao su dung"},
		colYear: {"nam dua vao su dung", "nam su dung", "nam trang bi", "nam cap", "nam mua", "nam dau tu", "nam ban giao", "year"},
		colItem: {"ten thiet bi", "ten tai san", "ten hang hoa", "ten hang", "thiet bi", "ten", "danh muc", "danh muc thiet bi", "danh muc hang hoa",
			"hang muc", "noi dung", "mo ta", "dien giai", "ten vat tu", "hang hoa", "tai san", "item", "description", "ten tb",
			"ten san pham", "san pham", "ten va quy cach", "ten quy cach", "danh muc tai san"},
		colModel: {"model", "ky hieu", "ma hieu", "ky ma hieu", "nhan hieu", "ma san pham", "ma thiet bi", "kieu", "doi may", "ten model",
			"model thiet bi", "part number", "ma hang", "model ky hieu", "dong may"},
		colVendor: {"hang san xuat", "hang", "hang sx", "nha san xuat", "nha sx", "thuong hieu", "vendor", "manufacturer", "nsx", "brand"},
		colSerial: {"so serial", "serial", "s n", "sn", "so seri", "seri", "serial number", "serial no", "so may", "ma serial", "so s n", "so hieu may",
			"so seri may", "service tag"},
		colUnit:     {"dvt", "don vi tinh", "d v t", "dv tinh", "unit"},
		colQuantity: {"so luong", "sl", "quantity", "qty", "s luong", "so luong cap"},
		colPrice:    {"don gia", "gia", "don gia truoc thue", "gia mua", "nguyen gia", "unit price", "price", "don gia vnd", "gia tri don vi"},
		colAmount:   {"thanh tien", "tong tien", "tong gia tri", "gia tri", "amount", "total", "thanh tien vnd", "tong gia"},
		colWarranty: {"bao hanh", "thoi gian bao hanh", "thoi han bao hanh", "bh", "bao hanh thang", "so thang bao hanh", "warranty", "tg bao hanh"},
		colWarrantyUntil: {"bao hanh den", "bao hanh den ngay", "han bao hanh", "het bao hanh", "het han bao hanh", "ngay het bao hanh",
			"ngay het han bao hanh", "warranty until"},
		colSiteCode: {"ma don vi", "ma xa", "ma px", "ma xa phuong", "ma diem", "ma site", "site code", "site id", "ma dvhc", "ma noi nhan"},
		colSite: {"don vi su dung", "don vi", "noi su dung", "noi nhan", "don vi nhan", "dia diem", "dia diem lap dat", "noi lap dat", "xa phuong",
			"phuong xa", "ten xa", "ten don vi", "xa", "don vi tiep nhan", "don vi thu huong", "noi cap", "site", "co quan", "diem cau", "ten xa phuong",
			"noi dat", "dia chi lap dat", "don vi duoc cap", "vi tri lap dat", "xa phuong thi tran"},
		colParent: {"huyen", "quan huyen", "ten huyen", "huyen thi xa", "district", "huyen thanh pho"},
		colClass:  {"loai", "loai thiet bi", "nhom", "nhom thiet bi", "chung loai", "phan loai", "loai tai san", "class", "type"},
		colLife:   {"thoi gian su dung", "so nam su dung", "nien han", "nien han su dung", "thoi gian khau hao", "tuoi tho", "useful life"},
		colUser: {"nguoi su dung", "can bo su dung", "nguoi quan ly", "chuc danh", "vi tri", "bo phan su dung", "bo phan", "phong", "user", "nguoi nhan",
			"vi tri su dung", "phong su dung"},
		colNote: {"ghi chu", "note", "notes", "remark", "tinh trang"},
		colIgnored: {"xuat xu", "nuoc san xuat", "nuoc sx", "nam san xuat", "thong so ky thuat", "cau hinh", "thong so", "quy cach", "dac tinh ky thuat",
			"thue", "thue vat", "vat", "thue suat", "cau hinh ky thuat", "xuat xu hang san xuat", "nha cung cap", "nguon von", "ma tai san", "dia chi"},
	}
}

// names are the column names, and which column each heading means.
type names struct {
	of     map[string]column
	longer []string // of two words or more, longest first
}

func newNames() names {
	n := names{of: map[string]column{}}
	for c, all := range columnNames() {
		for _, name := range all {
			if _, twice := n.of[name]; !twice {
				n.of[name] = column(c)
			}
			if strings.Contains(name, " ") {
				n.longer = append(n.longer, name)
			}
		}
	}
	slices.SortFunc(n.longer, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return n
}

var brackets = regexp.MustCompile(`[\(\[][^\(\)\[\]]*[\)\]]`)

// foldHeading reduces a heading to the words that names are written in.
func foldHeading(s string) string {
	return strings.Join(strings.FieldsFunc(inventory.Fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
}

// find says what a heading means.
func (n names) find(heading string) (column, bool) {
	if len(heading) > 300 {
		return 0, false
	}
	bare := brackets.ReplaceAllString(heading, " ")
	for _, text := range []string{heading, bare} {
		if c, ok := n.of[foldHeading(text)]; ok {
			return c, true
		}
	}
	folded := foldHeading(bare)
	for _, name := range n.longer {
		if strings.HasPrefix(folded, name+" ") && len(folded) < 80 {
			return n.of[name], true
		}
	}
	for _, part := range strings.FieldsFunc(bare, func(r rune) bool { return strings.ContainsRune("/,\n;", r) }) {
		if c, ok := n.of[foldHeading(part)]; ok {
			return c, true
		}
	}
	return 0, false
}

// layout says where each column is; -1: nowhere. headings are as the list writes them.
type layout struct {
	at       [columnCount]int
	headings [columnCount]string
	unit     int64 // of prices, in đồng
}

func newLayout() layout {
	l := layout{unit: 1}
	for c := range l.at {
		l.at[c] = -1
	}
	return l
}

// name is a column's heading, for messages.
func (l *layout) name(c column) string {
	if l.headings[c] != "" {
		return l.headings[c]
	}
	return templateHeading(c)
}

func (l *layout) has(c column) bool { return l.at[c] >= 0 }
