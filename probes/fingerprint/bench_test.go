package fingerprint

import "testing"

// BenchmarkBuiltIn is what reading the rules costs, once per sweep check at the start.
func BenchmarkBuiltIn(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := BuiltIn(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply is what looking at one page of 64 KiB costs.
func BenchmarkApply(b *testing.B) {
	r, err := BuiltIn()
	if err != nil {
		b.Fatal(err)
	}
	page := make([]byte, maxPage)
	for i := range page {
		page[i] = 'a' + byte(i%26)
	}
	text := string(page)
	for b.Loop() {
		r.apply(HTTPBody, text, "x")
		r.apply(HTTPTitle, "RouterOS router configuration page", "x")
	}
}
