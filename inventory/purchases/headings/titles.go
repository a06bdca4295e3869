package headings

import (
	"regexp"
	"strings"

	"communewatch/inventory"
	"communewatch/inventory/purchases/cells"
)

var (
	phaseText    = regexp.MustCompile(`(?i)(?:đợt|đot|dot)\s+(?:(?:cấp|cap|trang\s+bị|mua\s+sắm)\s+)?(?:[0-9]{1,3}|[ivx]{1,5})(?:(?:\s*[-–/,.]\s*|\s+)(?:(?:năm|nam)\s+)?(?:19|20)[0-9]{2})?|(?i)(?:gói\s+thầu|goi\s+thau|gói|goi)\s+(?:số\s+|so\s+)?[0-9]{1,3}(?:[-–/]?(?:19|20)[0-9]{2})?`)
	decisionText = regexp.MustCompile(`(?i)(?:quyết\s+định|quyet\s+dinh|QĐ)\s+(?:số|so)?\s*:?\s*([0-9]{1,6}\s*/\s*[0-9\pL/.-]{2,40})`)
	contractText = regexp.MustCompile(`(?i)(?:hợp\s+đồng|hop\s+dong|HĐ)\s+(?:số|so)?\s*:?\s*([0-9]{1,6}\s*/\s*[0-9\pL/.-]{2,40})`)
	unitText     = regexp.MustCompile(`(?i)(?:đơn\s+vị\s+tính|don\s+vi\s+tinh|ĐVT|đơn\s+vị)\s*:\s*([0-9.\pL ]{1,30})`)
)

// PhaseIn finds a purchase phase in a title: "Đợt 1 năm 2021", "gói thầu số 3"; "": none.
func PhaseIn(text string) string { return phaseName(phaseText.FindString(text)) }

// DecisionIn finds the number of a decision; "": none.
func DecisionIn(text string) string { return firstGroup(decisionText, text) }

// ContractIn finds the number of a contract; "": none.
func ContractIn(text string) string { return firstGroup(contractText, text) }

// TitleUnit finds the unit of prices in what is said above the headings: "Đơn vị tính: nghìn đồng"; 0: none.
func TitleUnit(text string) int64 {
	if found := unitText.FindStringSubmatch(text); found != nil {
		return cells.ScaleOf(found[1])
	}
	return 0
}

func firstGroup(pattern *regexp.Regexp, text string) string {
	if found := pattern.FindStringSubmatch(text); found != nil {
		return strings.ReplaceAll(found[1], " ", "")
	}
	return ""
}

var insideBrackets = regexp.MustCompile(`[\(\[]([^\(\)\[\]]*)[\)\]]`)

// UnitIn finds the unit of prices in a heading: "Đơn giá (nghìn đồng)"; 0: none.
func UnitIn(heading string) int64 {
	for _, found := range insideBrackets.FindAllStringSubmatch(heading, 4) {
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(inventory.Fold(found[1]), "don vi tinh"), "dvt"))
		text = strings.Trim(text, ":- ")
		if unit := cells.ScaleOf(text); text != "" && unit > 0 {
			return unit
		}
	}
	return 0
}

// phaseName writes a phase of a title in capitals as lists write it in their cells: ĐỢT II NĂM 2021 is Đợt II năm 2021.
func phaseName(s string) string {
	if s == "" || s != strings.ToUpper(s) {
		return s
	}
	words := strings.Fields(s)
	for i, w := range words {
		if strings.Trim(w, "IVX") != "" {
			words[i] = strings.ToLower(w)
		}
	}
	first := []rune(words[0])
	words[0] = strings.ToUpper(string(first[:1])) + string(first[1:])
	return strings.Join(words, " ")
}

var columnMark = regexp.MustCompile(`^[\(\[]?(?:[0-9]{1,2}|[A-Za-z]{1,2})[\)\]]?$|^[\(\[]?[0-9A-Za-z]{1,2}[\)\]]?\s*=[0-9A-Za-z()\[\]\s=+*x×.,/-]{1,30}$`)

// NumbersColumns reports whether a row below the headings only numbers the columns: (1) (2) (3)=(1)x(2).
func NumbersColumns(row []string) bool {
	marks := 0
	for _, cell := range row {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			continue
		}
		if !columnMark.MatchString(cell) {
			return false
		}
		marks++
	}
	return marks >= 3
}
