package assign

import _ "embed"

//go:embed start.yaml
var start string

// Start is a plan for a fresh installation, with values to fill in.
func Start() string { return start }
