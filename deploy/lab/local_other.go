//go:build !linux

package lab

import "errors"

func localChecks() (string, error) { return "", errors.New("the lab runs on Linux only") }
