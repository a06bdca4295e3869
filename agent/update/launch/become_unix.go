//go:build unix

package launch

import (
	"fmt"
	"syscall"
)

// become makes this process another program. It returns only when it can't.
func become(path string, args, env []string) error {
	argv := append([]string{path}, args[1:]...)
	if err := syscall.Exec(path, argv, env); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}
