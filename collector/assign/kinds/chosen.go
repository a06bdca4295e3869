package kinds

import "time"

// Chosen reads the options of a check, as plain values, the way an agent will. What is absent or of another type is what
// the agent takes where nothing is said; that such a value is wrong is told elsewhere.
type Chosen map[string]any

// In is the options below a key.
func (o Chosen) In(key string) Chosen {
	inner, _ := o[key].(map[string]any)
	return inner
}

// List is a list; nil for none.
func (o Chosen) List(key string) []any {
	list, _ := o[key].([]any)
	return list
}

// Text is a text; "" for none.
func (o Chosen) Text(key string) string {
	text, _ := o[key].(string)
	return text
}

// Flag is true or false.
func (o Chosen) Flag(key string, otherwise bool) bool {
	if b, ok := o[key].(bool); ok {
		return b
	}
	return otherwise
}

// Number is a number from 0 on.
func (o Chosen) Number(key string, otherwise float64) float64 {
	if n, ok := ToNumber(o[key]); ok && n >= 0 && n < 1e12 {
		return n
	}
	return otherwise
}

// Duration is a time from 0 on.
func (o Chosen) Duration(key string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(o.Text(key)); err == nil && d >= 0 {
		return d
	}
	return otherwise
}

// ToNumber reads a plain value that is a number.
func ToNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
