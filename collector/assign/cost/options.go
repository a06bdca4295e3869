package cost

import "time"

// tree is options of a check as plain values.
type tree = map[string]any

// options reads plain values as an agent will. What is absent or of another type is what the agent takes where nothing is
// said; that such a value is wrong is told elsewhere.
type options struct{ values tree }

func (o options) in(key string) options {
	inner, _ := o.values[key].(tree)
	return options{inner}
}

func (o options) list(key string) []any {
	list, _ := o.values[key].([]any)
	return list
}

func (o options) text(key string) string {
	text, _ := o.values[key].(string)
	return text
}

func (o options) flag(key string, otherwise bool) bool {
	if b, ok := o.values[key].(bool); ok {
		return b
	}
	return otherwise
}

func (o options) number(key string, otherwise float64) float64 {
	if n, ok := toNumber(o.values[key]); ok && n >= 0 && n < 1e12 {
		return n
	}
	return otherwise
}

func (o options) duration(key string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(o.text(key)); err == nil && d >= 0 {
		return d
	}
	return otherwise
}

func toNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
