package wording

import (
	"slices"
	"strconv"
	"strings"

	"communewatch/inventory"
)

// Source is somebody or something that can give a missing fact.
type Source string

// The sources.
const (
	FromMaker       Source = "maker"
	FromDistributor Source = "distributor"
	FromController  Source = "controller"
	FromNameplate   Source = "nameplate"
	FromAgent       Source = "agent"
	FromSNMP        Source = "snmp"
	FromLedger      Source = "ledger"
	FromOffice      Source = "office"
	FromRepairer    Source = "repairer"
	FromFinance     Source = "finance"
	FromNetwork     Source = "network"
	FromSite        Source = "microsoft"
)

var sources = map[Source]pair{
	FromMaker:       {"hãng sản xuất (văn bản hoặc thông báo có ngày)", "the maker (a dated letter or bulletin)"},
	FromDistributor: {"nhà phân phối tại Việt Nam", "the distributor in Vietnam"},
	FromController:  {"bộ điều khiển hoặc trang quản trị của hãng", "the maker's controller or portal"},
	FromNameplate:   {"ảnh chụp tem nhãn thiết bị", "a photo of the name plate"},
	FromAgent:       {"phần mềm đo cài trên chính máy đó", "an agent installed on the machine itself"},
	FromSNMP:        {"bật SNMP chỉ đọc trên thiết bị", "read-only SNMP switched on at the device"},
	FromLedger:      {"kế toán (hóa đơn, biên bản giao nhận, sổ tài sản)", "the accountant (invoice, handover record, asset ledger)"},
	FromOffice:      {"cán bộ của đơn vị", "the office's staff"},
	FromRepairer:    {"đơn vị sửa chữa (báo giá, phiếu sửa)", "the repairer (quote, repair slips)"},
	FromFinance:     {"Sở Tài chính hoặc cấp có thẩm quyền", "the Department of Finance or the competent authority"},
	FromNetwork:     {"người quản trị mạng của tỉnh", "the province's network administrator"},
	FromSite:        {"danh sách bộ xử lý của Microsoft", "Microsoft's list of processors"},
}

type input struct {
	name pair
	from []Source
}

// inputs name what rules may miss, and who can give it.
var inputs = map[string]input{
	"vendor":             {pair{"hãng sản xuất", "the maker"}, []Source{FromNameplate, FromSNMP}},
	"model":              {pair{"kiểu máy", "the model"}, []Source{FromNameplate, FromSNMP}},
	"hardware":           {pair{"phiên bản phần cứng", "the hardware revision"}, []Source{FromNameplate}},
	"class":              {pair{"loại thiết bị", "the kind of equipment"}, []Source{FromOffice, FromNameplate}},
	"version":            {pair{"phiên bản phần mềm đang chạy", "the running version"}, []Source{FromSNMP, FromController}},
	"os":                 {pair{"hệ điều hành", "the operating system"}, []Source{FromAgent, FromOffice}},
	"os_release":         {pair{"bản phát hành của hệ điều hành (ví dụ 22H2)", "the release of the operating system, as 22H2"}, []Source{FromAgent, FromOffice}},
	"os_version":         {pair{"số phiên bản của hệ điều hành", "the version of the operating system"}, []Source{FromAgent, FromOffice}},
	"os_edition":         {pair{"ấn bản Windows (Home, Pro, Enterprise, LTSC)", "the Windows edition (Home, Pro, Enterprise, LTSC)"}, []Source{FromAgent, FromOffice}},
	"cpu":                {pair{"bộ xử lý", "the processor"}, []Source{FromAgent, FromOffice}},
	"cpu_list":           {pair{"bộ xử lý có trong danh sách của Microsoft hay không", "whether the processor is in Microsoft's list"}, []Source{FromSite}},
	"tpm":                {pair{"phiên bản TPM", "the version of the TPM"}, []Source{FromAgent}},
	"protocols":          {pair{"các giao thức thiết bị mở", "the protocols it offers"}, []Source{FromNetwork}},
	"wifi":               {pair{"thế hệ và mã hóa Wi-Fi", "Wi-Fi generation and ciphers"}, []Source{FromController, FromNameplate}},
	"platform":           {pair{"nền tảng họp đang dùng (Teams, Zoom, khác)", "the conference platform in use (Teams, Zoom, other)"}, []Source{FromOffice}},
	"reachable":          {pair{"có truy cập được từ bên ngoài không", "whether it can be reached from outside"}, []Source{FromNetwork}},
	"in_service":         {pair{"ngày đưa vào sử dụng (có chứng từ)", "the day it was put into service, with a document"}, []Source{FromLedger}},
	"price":              {pair{"nguyên giá", "the original price"}, []Source{FromLedger}},
	"failures":           {pair{"số lần hỏng trong 12 tháng", "how often it failed within 12 months"}, []Source{FromRepairer, FromOffice}},
	"end_of_support":     {pair{"ngày hãng ngừng hỗ trợ", "the maker's end of support"}, []Source{FromMaker, FromDistributor, FromController}},
	"end_of_maintenance": {pair{"ngày hãng ngừng bảo trì", "the maker's end of maintenance"}, []Source{FromMaker, FromDistributor}},
	"end_of_sale":        {pair{"ngày hãng ngừng bán", "the maker's end of sale"}, []Source{FromMaker, FromDistributor}},
	"min_fw":             {pair{"phiên bản tối thiểu an toàn", "the least safe version"}, []Source{FromMaker}},
	"latest":             {pair{"phiên bản mới nhất", "the newest version"}, []Source{FromMaker}},
	"released":           {pair{"ngày phát hành của phiên bản đang chạy", "when the running version came out"}, []Source{FromMaker}},
	"kev":                {pair{"tình trạng trong danh sách lỗ hổng đang bị khai thác", "its state in the list of exploited vulnerabilities"}, []Source{FromMaker, FromNetwork}},
	"software_line":      {pair{"dòng phần mềm mà thiết bị chạy được", "which software lines it can run"}, []Source{FromMaker, FromDistributor}},
	"certification":      {pair{"thời hạn chứng nhận của nền tảng họp", "how long the platform certifies it"}, []Source{FromMaker}},
	"legal_class":        {pair{"loại tài sản theo quy định (5 hay 7 năm)", "its class of asset by law (5 or 7 years)"}, []Source{FromFinance}},
	"norm_count":         {pair{"số lượng đang có và số người được tính định mức", "how many the office has, and for how many people"}, []Source{FromOffice, FromLedger}},
	"norm":               {pair{"bảng định mức áp dụng cho ngày này", "the table of norms of that day"}, []Source{FromFinance}},
	"post":               {pair{"chức danh được trang bị", "whose equipment it is"}, []Source{FromOffice}},
	"surplus":            {pair{"có chiếc dôi dư ở nơi khác hay không", "whether another office has a surplus"}, []Source{FromFinance}},
}

// Input names a missing input: "ngày hãng ngừng hỗ trợ".
func Input(l Lang, name string) string {
	if in, ok := inputs[name]; ok {
		return in.name.in(l)
	}
	return name
}

// Inputs names several, separated by commas.
func Inputs(l Lang, names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = Input(l, n)
	}
	return strings.Join(all, ", ")
}

// Explanation says what is missing and who can give it.
type Explanation struct {
	What string
	Who  []string
	From []Source
}

// Explain explains a missing input by its name, as in Finding.Missing.
func Explain(l Lang, name string) Explanation {
	in := inputs[name]
	e := Explanation{What: Input(l, name), From: in.from}
	for _, s := range in.from {
		e.Who = append(e.Who, sources[s].in(l))
	}
	return e
}

// Ask is what a letter asks about.
type Ask struct {
	Office       string // who asks
	Recipient    string // the maker or its distributor; "": left open
	Vendor       string
	Model        string
	Hardware     string
	Version      string
	Units        int      // how many of them; 0 is left out
	Missing      []string // as in Finding.Missing
	On           inventory.Date
	SerialSample string // one serial number, to tell models apart; may be ""
}

// Letter is the text of a letter to a maker or distributor, in Vietnamese: a draft for an office to put on its own
// paper. Only what a maker can answer is asked.
func Letter(a Ask) string {
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, "") + "\n") }
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	line("Kính gửi: ", or(a.Recipient, "Hãng "+or(a.Vendor, "sản xuất")+" hoặc nhà phân phối tại Việt Nam"))
	line()
	line("V/v đề nghị xác nhận vòng đời hỗ trợ của thiết bị")
	line()
	line(or(a.Office, "Đơn vị chúng tôi"), " đang rà soát trang thiết bị công nghệ thông tin và đề nghị Quý Công ty xác nhận bằng văn bản thông tin về thiết bị sau:")
	line()
	line("- Hãng: ", or(a.Vendor, "(ghi theo tem nhãn)"))
	line("- Kiểu máy: ", or(a.Model, "(ghi theo tem nhãn)"))
	if a.Hardware != "" {
		line("- Phiên bản phần cứng: ", a.Hardware)
	}
	if a.Version != "" {
		line("- Phần mềm đang chạy: ", a.Version)
	}
	if a.SerialSample != "" {
		line("- Số sê-ri (một chiếc làm mẫu): ", a.SerialSample)
	}
	if a.Units > 0 {
		line("- Số lượng đang dùng: ", strconv.Itoa(a.Units))
	}
	line()
	line("Đề nghị cho biết:")
	n := 0
	for _, m := range a.Missing {
		in := inputs[m]
		if !slices.Contains(in.from, FromMaker) && !slices.Contains(in.from, FromDistributor) {
			continue
		}
		n++
		line(strconv.Itoa(n), ". ", upper(in.name.vi), ";")
	}
	if n == 0 {
		n++
		line(strconv.Itoa(n), ". Ngày ngừng bán, ngày ngừng bảo trì và ngày ngừng hỗ trợ;")
	}
	line(strconv.Itoa(n+1), ". Văn bản hoặc trang thông báo của hãng làm căn cứ, có ghi ngày; nếu hãng chưa công bố thì xin ghi rõ \"chưa công bố\";")
	line(strconv.Itoa(n+2), ". Thiết bị thay thế tương đương, nếu có.")
	line()
	line("Thông tin này chỉ dùng để lập kế hoạch bảo trì, thay thế thiết bị của đơn vị.")
	if !a.On.IsZero() {
		line()
		line("Ngày ", day(a.On))
	}
	return b.String()
}

// upper writes the first letter large.
func upper(s string) string {
	r := []rune(s)
	if len(r) == 0 {
		return s
	}
	return strings.ToUpper(string(r[0])) + string(r[1:])
}
