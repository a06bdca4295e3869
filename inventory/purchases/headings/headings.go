// Package headings knows what the headings of purchase lists mean, in Vietnamese with and without accents and in
// English, and where the columns of a list are.
package headings

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"communewatch/inventory"
)

// Column is what a column of a purchase list means.
type Column int

const (
	Number Column = iota
	Phase
	Contract
	Decision
	Received
	Year
	Item
	Model
	Vendor
	Serial
	Unit
	Quantity
	Price
	Amount
	Warranty
	WarrantyUntil
	SiteCode
	Site
	Parent
	Class
	Life
	User
	Note
	Ignored // known, and of no use here
	Count
)

// names lists the headings that people write, folded, the first as the template has it. Longer headings count by
// what they begin with, if that has two words or more.
func names() [Count][]string {
	return [Count][]string{
		Number: {"stt", "tt", "so tt", "so thu tu", "no", "muc"},
		Phase: {"dot cap", "dot", "dot mua sam", "dot mua", "dot trang bi", "dot dau tu", "goi", "goi thau", "goi mua sam", "phase",
			"du an", "ten du an", "dot ban giao"},
		Contract: {"so hop dong", "hop dong", "so hd", "hd so", "hop dong so", "contract", "contract no", "contract number"},
		Decision: {"so quyet dinh", "quyet dinh", "qd", "so qd", "quyet dinh cap", "quyet dinh so", "decision"},
		Received: {"ngay ban giao", "ngay dua vao su dung", "ngay nhan", "ngay su dung", "ngay cap", "ngay trang bi", "ngay nghiem thu",
			"thoi gian ban giao", "thoi gian dua vao su dung", "thoi diem dua vao su dung", "thoi gian trang bi", "ngay lap dat", "ngay mua",
			"date received", "received", "in service", "ngay thang nam dua vao su dung", "ngay ban giao dua vao su dung"},
		Year: {"nam dua vao su dung", "nam su dung", "nam trang bi", "nam cap", "nam mua", "nam dau tu", "nam ban giao", "year"},
		Item: {"ten thiet bi", "ten tai san", "ten hang hoa", "ten hang", "thiet bi", "ten", "danh muc", "danh muc thiet bi", "danh muc hang hoa",
			"hang muc", "noi dung", "mo ta", "dien giai", "ten vat tu", "hang hoa", "tai san", "item", "description", "ten tb",
			"ten san pham", "san pham", "ten va quy cach", "ten quy cach", "danh muc tai san"},
		Model: {"model", "ky hieu", "ma hieu", "ky ma hieu", "nhan hieu", "ma san pham", "ma thiet bi", "kieu", "doi may", "ten model",
			"model thiet bi", "part number", "ma hang", "model ky hieu", "dong may"},
		Vendor: {"hang san xuat", "hang", "hang sx", "nha san xuat", "nha sx", "thuong hieu", "vendor", "manufacturer", "nsx", "brand"},
		Serial: {"so serial", "serial", "s n", "sn", "so seri", "seri", "serial number", "serial no", "so may", "ma serial", "so s n", "so hieu may",
			"so seri may", "service tag"},
		Unit:     {"dvt", "don vi tinh", "d v t", "dv tinh", "unit"},
		Quantity: {"so luong", "sl", "quantity", "qty", "s luong", "so luong cap"},
		Price:    {"don gia", "gia", "don gia truoc thue", "gia mua", "nguyen gia", "unit price", "price", "don gia vnd", "gia tri don vi"},
		Amount:   {"thanh tien", "tong tien", "tong gia tri", "gia tri", "amount", "total", "thanh tien vnd", "tong gia"},
		Warranty: {"bao hanh", "thoi gian bao hanh", "thoi han bao hanh", "bh", "bao hanh thang", "so thang bao hanh", "warranty", "tg bao hanh"},
		WarrantyUntil: {"bao hanh den", "bao hanh den ngay", "han bao hanh", "het bao hanh", "het han bao hanh", "ngay het bao hanh",
			"ngay het han bao hanh", "warranty until"},
		SiteCode: {"ma don vi", "ma xa", "ma px", "ma xa phuong", "ma diem", "ma site", "site code", "site id", "ma dvhc", "ma noi nhan"},
		Site: {"don vi su dung", "don vi", "noi su dung", "noi nhan", "don vi nhan", "dia diem", "dia diem lap dat", "noi lap dat", "xa phuong",
			"phuong xa", "ten xa", "ten don vi", "xa", "don vi tiep nhan", "don vi thu huong", "noi cap", "site", "co quan", "diem cau", "ten xa phuong",
			"noi dat", "dia chi lap dat", "don vi duoc cap", "vi tri lap dat", "xa phuong thi tran"},
		Parent: {"huyen", "quan huyen", "ten huyen", "huyen thi xa", "district", "huyen thanh pho"},
		Class:  {"loai", "loai thiet bi", "nhom", "nhom thiet bi", "chung loai", "phan loai", "loai tai san", "class", "type"},
		Life:   {"thoi gian su dung", "so nam su dung", "nien han", "nien han su dung", "thoi gian khau hao", "tuoi tho", "useful life"},
		User: {"nguoi su dung", "can bo su dung", "nguoi quan ly", "chuc danh", "vi tri", "bo phan su dung", "bo phan", "phong", "user", "nguoi nhan",
			"vi tri su dung", "phong su dung"},
		Note: {"ghi chu", "note", "notes", "remark", "tinh trang"},
		Ignored: {"xuat xu", "nuoc san xuat", "nuoc sx", "nam san xuat", "thong so ky thuat", "cau hinh", "thong so", "quy cach", "dac tinh ky thuat",
			"thue", "thue vat", "vat", "thue suat", "cau hinh ky thuat", "xuat xu hang san xuat", "nha cung cap", "nguon von", "ma tai san", "dia chi"},
	}
}

// Names are the column names, and which column each heading means.
type Names struct {
	of     map[string]Column
	longer []string // of two words or more, longest first
}

// NewNames returns the names.
func NewNames() Names {
	n := Names{of: map[string]Column{}}
	for c, all := range names() {
		for _, name := range all {
			if _, twice := n.of[name]; !twice {
				n.of[name] = Column(c)
			}
			if strings.Contains(name, " ") {
				n.longer = append(n.longer, name+" ")
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

// Fold reduces a heading to the words that names are written in.
func Fold(s string) string {
	return strings.Join(strings.FieldsFunc(inventory.Fold(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
}

// WithoutBrackets returns a heading without what stands in brackets, as "(VNĐ)".
func WithoutBrackets(heading string) string { return brackets.ReplaceAllString(heading, " ") }

// Find says what a heading means.
func (n Names) Find(heading string) (Column, bool) {
	if len(heading) > 300 {
		return 0, false
	}
	bare := WithoutBrackets(heading)
	for _, text := range []string{heading, bare} {
		if c, ok := n.of[Fold(text)]; ok {
			return c, true
		}
	}
	folded := Fold(bare)
	for _, name := range n.longer {
		if strings.HasPrefix(folded, name) && len(folded) < 80 {
			return n.of[strings.TrimSpace(name)], true
		}
	}
	for _, part := range strings.FieldsFunc(bare, func(r rune) bool { return strings.ContainsRune("/,\n;", r) }) {
		if c, ok := n.of[Fold(part)]; ok {
			return c, true
		}
	}
	return 0, false
}

// Exact says what a heading means that is written as one of the names, and not longer.
func (n Names) Exact(heading string) (Column, bool) {
	c, ok := n.of[Fold(heading)]
	return c, ok
}

// Layout says where each column is; -1: nowhere. headings are as the list writes them.
type Layout struct {
	At       [Count]int
	Headings [Count]string
	Unit     int64 // of prices, in đồng
}

// NewLayout returns a layout without columns, of prices in đồng.
func NewLayout() Layout {
	l := Layout{Unit: 1}
	for c := range l.At {
		l.At[c] = -1
	}
	return l
}

// Name is a column's heading, for messages.
func (l *Layout) Name(c Column) string {
	if l.Headings[c] != "" {
		return l.Headings[c]
	}
	return Written(c)
}

// Has reports whether the list has a column.
func (l *Layout) Has(c Column) bool { return l.At[c] >= 0 }

// Written is the heading of a column in the form.
func Written(c Column) string {
	switch c {
	case Number:
		return "STT"
	case Phase:
		return "Đợt cấp"
	case Contract:
		return "Số hợp đồng"
	case Decision:
		return "Số quyết định"
	case Received:
		return "Ngày bàn giao"
	case Year:
		return "Năm đưa vào sử dụng"
	case Item:
		return "Tên thiết bị"
	case Model:
		return "Model"
	case Vendor:
		return "Hãng sản xuất"
	case Serial:
		return "Số serial"
	case Unit:
		return "ĐVT"
	case Quantity:
		return "Số lượng"
	case Price:
		return "Đơn giá (VNĐ)"
	case Amount:
		return "Thành tiền (VNĐ)"
	case Warranty:
		return "Bảo hành (tháng)"
	case WarrantyUntil:
		return "Bảo hành đến ngày"
	case SiteCode:
		return "Mã đơn vị"
	case Site:
		return "Đơn vị sử dụng"
	case Parent:
		return "Huyện"
	case Class:
		return "Loại thiết bị"
	case Life:
		return "Thời gian sử dụng (năm)"
	case User:
		return "Người sử dụng"
	case Note:
		return "Ghi chú"
	}
	return ""
}
