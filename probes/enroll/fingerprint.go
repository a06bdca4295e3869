package enroll

import "fmt"

// Fingerprint is a key as people compare it over the phone: the first 64 bits of the SHA-256 of its SubjectPublicKeyInfo, in
// groups of four digits. The machine that waits prints it, and who approves sees it.
func Fingerprint(key [32]byte) string {
	return fmt.Sprintf("%X %X %X %X", key[:2], key[2:4], key[4:6], key[6:8])
}
