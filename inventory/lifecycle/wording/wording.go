package wording

import (
	"strconv"
	"strings"
	"time"

	"communewatch/inventory"
	"communewatch/inventory/lifecycle"
)

// Lang is a language: "vi" or "en". Any other is taken for Vietnamese.
type Lang string

// The languages.
const (
	Vietnamese Lang = "vi"
	English    Lang = "en"
)

func (p pair) in(l Lang) string {
	if l == English {
		return p.en
	}
	return p.vi
}

// Finding returns the sentence for a finding; that its source was not looked at for long is said at its end.
func Finding(l Lang, f lifecycle.Finding) string {
	p, ok := sentences[f.Code]
	if !ok {
		return f.Code
	}
	text := fill(p.in(l), func(name string) string { return argument(l, f, name) })
	if f.Args["verified"] == "no" {
		text += pair{" (bảng chưa đối chiếu công báo)", " (table not compared with the gazette)"}.in(l)
	}
	if f.Stale && f.State != lifecycle.StateUnknown {
		text += pair{" [nguồn đã lâu chưa tra lại]", " [source not looked at for long]"}.in(l)
	}
	return text
}

// argument returns what stands for {name}.
func argument(l Lang, f lifecycle.Finding, name string) string {
	switch name {
	case "missing":
		return Inputs(l, f.Missing)
	case "weak_names":
		var all []string
		for w := range strings.FieldsSeq(f.Args["weak"]) {
			all = append(all, weakNames[w].in(l))
		}
		return strings.Join(all, ", ")
	case "norm_name":
		if f.Args["norm"] == "ledger" {
			return pair{"theo sổ tài sản", "by the asset ledger"}.in(l)
		}
		return f.Args["norm"]
	case "tpm":
		switch f.Args["tpm"] {
		case "":
			return pair{"chưa biết", "not known"}.in(l)
		case "none":
			return pair{"không có", "none"}.in(l)
		}
	case "repair", "price", "max", "threshold":
		if n, err := strconv.ParseInt(f.Args[name], 10, 64); err == nil {
			return Money(l, n)
		}
	case "percent":
		if l != English {
			return strings.ReplaceAll(f.Args[name], ".", ",")
		}
	case "successor":
		if l != English {
			return successors.Replace(f.Args[name])
		}
	case "dates":
		var all []string
		for _, d := range strings.Split(f.Args[name], ", ") {
			all = append(all, Date(d))
		}
		return strings.Join(all, ", ")
	}
	return Date(f.Args[name])
}

// successors says in Vietnamese what the catalogue names as successors in English.
var successors = strings.NewReplacer(
	"newer Windows 11 version", "bản Windows 11 mới hơn",
	"Windows 11-capable room PC", "máy tính phòng họp chạy được Windows 11",
	"current-generation Cisco device", "thiết bị Cisco thế hệ hiện tại",
	"(current-generation devices only)", "(chỉ thiết bị thế hệ hiện tại)",
	"RoomOS-capable Room/Desk device", "thiết bị Room/Desk chạy được RoomOS",
	"equivalent XGS model", "mẫu XGS tương đương",
	"newest RoomOS 11/26", "RoomOS 11/26 mới nhất",
	" where the device allows", " nếu thiết bị cho phép",
	" or newer", " hoặc mới hơn",
	" or ", " hoặc ",
)

// Date writes a day that is given as 2025-07-01 as 01/07/2025, and leaves every other text as it is.
func Date(s string) string {
	if len(s) == len(time.DateOnly) {
		if t, err := time.Parse(time.DateOnly, s); err == nil {
			return t.Format("02/01/2006")
		}
	}
	return s
}

// Money writes an amount in VND: "9.500.000 đồng", "9.500.000 VND".
func Money(l Lang, vnd int64) string {
	digits := strconv.FormatInt(vnd, 10)
	sign := ""
	if vnd < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte('.')
		}
		b.WriteByte(digits[i])
	}
	return sign + b.String() + pair{" đồng", " VND"}.in(l)
}

// fill puts arguments into a template.
func fill(template string, arg func(string) string) string {
	var b strings.Builder
	for template != "" {
		open := strings.IndexByte(template, '[')
		if open < 0 {
			text, _ := put(template, arg)
			return b.String() + text
		}
		text, _ := put(template[:open], arg)
		b.WriteString(text)
		end := open + strings.IndexByte(template[open:], ']')
		if part, complete := put(template[open+1:end], arg); complete {
			b.WriteString(part)
		}
		template = template[end+1:]
	}
	return b.String()
}

// put replaces the {names} of a text; complete is false where one of them stands for nothing.
func put(text string, arg func(string) string) (out string, complete bool) {
	complete = true
	var b strings.Builder
	for {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			return b.String() + text, complete
		}
		end := open + strings.IndexByte(text[open:], '}')
		value := arg(text[open+1 : end])
		if value == "" {
			complete = false
			value = "?"
		}
		b.WriteString(text[:open] + value)
		text = text[end+1:]
	}
}

// day is asOf as people write it.
func day(d inventory.Date) string { return Date(d.String()) }
