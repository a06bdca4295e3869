package launch

import "errors"

// become is what Windows has no call for; supervise is used there.
func become(string, []string, []string) error { return errors.ErrUnsupported }
