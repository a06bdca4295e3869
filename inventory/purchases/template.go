package purchases

import (
	"encoding/csv"
	"io"
)

// templateColumns are the columns of the form, in its order.
func templateColumns() []column {
	return []column{colNumber, colPhase, colContract, colDecision, colReceived, colItem, colModel, colVendor, colSerial, colUnit, colQuantity,
		colPrice, colAmount, colWarranty, colSiteCode, colSite, colClass, colLife, colUser, colNote}
}

// templateHeading is the heading of a column in the form.
func templateHeading(c column) string {
	switch c {
	case colNumber:
		return "STT"
	case colPhase:
		return "Đợt cấp"
	case colContract:
		return "Số hợp đồng"
	case colDecision:
		return "Số quyết định"
	case colReceived:
		return "Ngày bàn giao"
	case colYear:
		return "Năm đưa vào sử dụng"
	case colItem:
		return "Tên thiết bị"
	case colModel:
		return "Model"
	case colVendor:
		return "Hãng sản xuất"
	case colSerial:
		return "Số serial"
	case colUnit:
		return "ĐVT"
	case colQuantity:
		return "Số lượng"
	case colPrice:
		return "Đơn giá (VNĐ)"
	case colAmount:
		return "Thành tiền (VNĐ)"
	case colWarranty:
		return "Bảo hành (tháng)"
	case colWarrantyUntil:
		return "Bảo hành đến ngày"
	case colSiteCode:
		return "Mã đơn vị"
	case colSite:
		return "Đơn vị sử dụng"
	case colParent:
		return "Huyện"
	case colClass:
		return "Loại thiết bị"
	case colLife:
		return "Thời gian sử dụng (năm)"
	case colUser:
		return "Người sử dụng"
	case colNote:
		return "Ghi chú"
	}
	return ""
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
		row = append(row, templateHeading(c))
	}
	if err := out.Write(row); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}
