// Package processor tells from a processor's name whether Windows 11 supports it, and of which generation it is.
package processor

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var marks = strings.NewReplacer("(r)", " ", "(tm)", " ", "®", " ", "™", " ")

// How makers write their numbers.
var (
	coreI       = regexp.MustCompile(`\bi[3579](?: cpu)?[- ]+(\d{3,5})([a-z]*)`)
	coreM       = regexp.MustCompile(`\bm[357]?-(\d)`)
	core2       = regexp.MustCompile(`core ?2\b`)
	coreNew     = regexp.MustCompile(`core (ultra|[3579]) `)
	xeonE       = regexp.MustCompile(`xeon.* e[357]-\d{4}`)
	smallNumber = regexp.MustCompile(`\b([gnj])(\d{3,4})\b`)
	ryzen       = regexp.MustCompile(`ryzen (?:threadripper |embedded |[3579] )?(?:pro )?(?:micro)?[a-z]?(\d)(\d{3})`)
	athlon      = regexp.MustCompile(`athlon (silver|gold|pro 3|3\d{3})`)
	oldAMD      = regexp.MustCompile(`\b(fx[- ]*\d|a(4|6|8|9|10|12)-\d|e[12]?-\d|phenom|sempron|turion|opteron|athlon (ii|x2|64))`)
)

// Fit says whether a processor is one that Windows 11 supports: Intel from the 8th generation, AMD from Ryzen 2000.
type Fit uint8

// The answers. The zero Fit is that the name does not tell; the maker's list of exact models then has to.
const (
	Unclear Fit = iota
	Below
	Fits
)

// Processor is what the name of a processor tells.
type Processor struct {
	Fit      Fit
	CodeName string // as in the rows of class pc_cpu: "Haswell"; "" where none is known
	Label    string // "Intel Core, 4th generation"
}

// Of reads a processor's name as the machine gives it: "Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz". The
// numbering is the makers' own; where a maker broke it, the answer is Unclear.
func Of(name string) Processor {
	s := strings.ToLower(name)
	s = marks.Replace(s)
	s = strings.Join(strings.Fields(s), " ")
	switch {
	case strings.Contains(s, "ryzen") || strings.Contains(s, "amd"):
		return amd(s)
	case strings.Contains(s, "intel") || strings.Contains(s, "core i"):
		return intel(s)
	}
	return Processor{}
}

func intel(s string) Processor {
	if m := coreI.FindStringSubmatch(s); m != nil {
		gen := generation(m[1])
		mobile := len(m[1]) == 4 && gen >= 10
		p := Processor{Below, codeName(gen, mobile), "Intel Core, generation " + strconv.Itoa(gen)}
		switch {
		case gen >= 8:
			p.Fit = Fits
		case gen == 7 && (m[1]+m[2] == "7820hq" || strings.HasPrefix(m[2], "x")):
			p.Fit = Unclear // some of these were added to the list
		}
		return p
	}
	if m := coreM.FindStringSubmatch(s); m != nil {
		gen, _ := strconv.Atoi(m[1])
		p := Processor{Below, codeName(gen, true), "Intel Core m, generation " + m[1]}
		if gen >= 8 {
			p.Fit = Fits
		}
		return p
	}
	switch {
	case core2.MatchString(s) || strings.Contains(s, "pentium 4") || strings.Contains(s, "pentium d"):
		return Processor{Below, "", "Intel Core 2 or older"}
	case coreNew.MatchString(s + " "):
		return Processor{Fits, "", "Intel Core, newer numbering"}
	case xeonE.MatchString(s):
		return Processor{Below, "", "Intel Xeon E3, E5 or E7"}
	}
	if m := smallNumber.FindStringSubmatch(s); m != nil && (strings.Contains(s, "celeron") || strings.Contains(s, "pentium") || m[1] == "n") {
		return small(m[1], m[2])
	}
	return Processor{}
}

// generation of a Core i number: 870 is of the 1st, 4130 of the 4th, 1135 of the 11th, 10100 of the 10th.
func generation(digits string) int {
	n := 1
	switch {
	case len(digits) == 3:
	case len(digits) == 4 && digits[0] != '1':
		n = int(digits[0] - '0')
	default:
		n, _ = strconv.Atoi(digits[:2])
	}
	return n
}

func codeName(gen int, mobile bool) string {
	switch gen {
	case 3:
		return "Ivy Bridge"
	case 4:
		return "Haswell"
	case 5:
		return "Broadwell"
	case 6:
		return "Skylake"
	case 7:
		return "Kaby Lake"
	case 8, 9:
		return "Coffee Lake"
	case 10:
		return "Comet Lake"
	case 11:
		if mobile {
			return "Tiger Lake"
		}
		return "Rocket Lake"
	}
	return ""
}

// small is for Pentium and Celeron.
func small(series, digits string) Processor {
	n, _ := strconv.Atoi(digits)
	label := "Intel " + strings.ToUpper(series) + digits
	apollo := []int{3350, 3355, 3450, 3455, 4200, 4205}
	switch {
	case series == "g" && n < 4900: // up to Kaby Lake: G1840, G3220, G4400, G4560
		return Processor{Below, "", label}
	case series == "g":
		return Processor{Fits, "", label}
	case slices.Contains(apollo, n):
		return Processor{Below, "Apollo Lake", label}
	case n < 300: // N100 and its like
		return Processor{Fits, "", label}
	case n < 3000:
		return Processor{Below, "Bay Trail", label}
	case n < 4000:
		return Processor{Below, "Braswell", label}
	case n < 5080:
		return Processor{Fits, "Gemini Lake", label}
	}
	return Processor{Fits, "", label}
}

func amd(s string) Processor {
	if m := ryzen.FindStringSubmatch(s); m != nil {
		p := Processor{Fits, "", "AMD Ryzen " + m[1] + "000"}
		if m[1] == "1" {
			p.Fit = Below
		}
		return p
	}
	switch {
	case strings.Contains(s, "ryzen ai"), athlon.MatchString(s):
		return Processor{Fits, "", "AMD, newer than Ryzen 2000"}
	case oldAMD.MatchString(s):
		return Processor{Below, "", "AMD, older than Ryzen"}
	}
	return Processor{}
}
