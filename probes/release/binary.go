package release

import (
	"debug/elf"
	"debug/pe"
	"errors"
	"fmt"
	"io"
)

// ErrBinary says that a file is no program for the platform; compare with errors.Is.
var ErrBinary = errors.New("the file is no program for this platform")

// CheckBinary checks by a file's own header that it is a program for a platform.
func CheckBinary(r io.ReaderAt, os, arch string) error {
	switch os {
	case "linux":
		f, err := elf.NewFile(r)
		if err != nil {
			return fmt.Errorf("%w: it is not ELF: %w", ErrBinary, err)
		}
		defer f.Close()
		want, ok := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "386": elf.EM_386}[arch]
		if !ok {
			return fmt.Errorf("%w: %s/%s is not known", ErrBinary, os, arch)
		}
		if f.Machine != want || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
			return fmt.Errorf("%w: it is %v of %v, and should be a program for %s", ErrBinary, f.Type, f.Machine, arch)
		}
	case "windows":
		f, err := pe.NewFile(r)
		if err != nil {
			return fmt.Errorf("%w: it is not PE: %w", ErrBinary, err)
		}
		defer f.Close()
		want, ok := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64, "386": pe.IMAGE_FILE_MACHINE_I386}[arch]
		if !ok {
			return fmt.Errorf("%w: %s/%s is not known", ErrBinary, os, arch)
		}
		if f.Machine != want || f.Characteristics&pe.IMAGE_FILE_EXECUTABLE_IMAGE == 0 || f.Characteristics&pe.IMAGE_FILE_DLL != 0 {
			return fmt.Errorf("%w: it is for machine %#x, and should be a program for %s", ErrBinary, f.Machine, arch)
		}
	default:
		return fmt.Errorf("%w: %.20q is not known", ErrBinary, os)
	}
	return nil
}
