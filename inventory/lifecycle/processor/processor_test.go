package processor

import "testing"

func TestProcessors(t *testing.T) {
	for name, want := range map[string]Fit{
		"Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz": Below, "Intel(R) Core(TM) i5-7500 CPU @ 3.40GHz": Below,
		"Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz": Fits, "Intel(R) Core(TM) i3-10100 CPU @ 3.60GHz": Fits,
		"11th Gen Intel(R) Core(TM) i5-1135G7 @ 2.40GHz": Fits, "12th Gen Intel(R) Core(TM) i5-12400": Fits,
		"Intel(R) Core(TM) i7-7820HQ CPU @ 2.90GHz": Unclear, "Intel(R) Core(TM) i7 CPU 870 @ 2.93GHz": Below,
		"Intel(R) Core(TM)2 Duo CPU E8400 @ 3.00GHz": Below, "Intel(R) Core(TM) Ultra 5 125U": Fits,
		"Intel(R) Pentium(R) CPU G4560 @ 3.50GHz": Below, "Intel(R) Pentium(R) Gold G5400 CPU @ 3.70GHz": Fits,
		"Intel(R) Celeron(R) CPU J1900 @ 1.99GHz": Below, "Intel(R) Celeron(R) N4020 CPU @ 1.10GHz": Fits,
		"Intel(R) Celeron(R) CPU N3350 @ 1.10GHz": Below, "Intel(R) N100": Fits, "Intel(R) Pentium(R) CPU N4200 @ 1.10GHz": Below,
		"AMD Ryzen 5 2400G with Radeon Vega Graphics": Fits, "AMD Ryzen 5 1600 Six-Core Processor": Below,
		"AMD Ryzen 5 PRO 4650G": Fits, "AMD FX(tm)-6300 Six-Core Processor": Below, "AMD A8-7600 Radeon R7": Below,
		"Intel(R) Xeon(R) CPU E5-2620 v4 @ 2.10GHz": Below, "Intel(R) Xeon(R) Silver 4210": Unclear, "ARMv7": Unclear, "": Unclear,
	} {
		if got := Of(name); got.Fit != want {
			t.Errorf("%q: %+v, want %v", name, got, want)
		}
	}
}
