package registry

func runChild() bool { return false }
