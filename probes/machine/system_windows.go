package machine

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"strings"
	"unsafe"

	"communewatch/probes"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Facts describes this machine.
func Facts(ctx context.Context) ([]probes.Fact, error) { return windowsFacts(ctx, system{}) }

// system asks the Windows that the agent runs on.
type system struct{}

func (system) open(key string) (registry.Key, bool) {
	// An agent built for 32 bits would else see another part of the registry.
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.WOW64_64KEY)
	return k, err == nil
}

func (s system) Text(key, value string) string {
	k, ok := s.open(key)
	if !ok {
		return ""
	}
	defer k.Close()
	text, _, err := k.GetStringValue(value)
	if err != nil {
		return ""
	}
	return text
}

func (s system) Number(key, value string) (uint64, bool) {
	k, ok := s.open(key)
	if !ok {
		return 0, false
	}
	defer k.Close()
	n, _, err := k.GetIntegerValue(value)
	return n, err == nil
}

// SMBIOS asks for the firmware table 'RSMB'. Its header of eight bytes holds the length of what follows.
func (system) SMBIOS() []byte {
	const provider = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'
	call := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemFirmwareTable")
	if call.Find() != nil {
		return nil
	}
	size, _, _ := call.Call(provider, 0, 0, 0)
	if size < 8 || size > maxTable {
		return nil
	}
	table := make([]byte, size)
	got, _, _ := call.Call(provider, 0, uintptr(unsafe.Pointer(&table[0])), size)
	if got < 8 || got > size {
		return nil
	}
	length := min(int(binary.LittleEndian.Uint32(table[4:])), int(got)-8)
	return table[8 : 8+length]
}

// TPM asks the TPM base services (tbs.h).
func (system) TPM() string {
	const notFound = 0x8028400f // TBS_E_TPM_NOT_FOUND
	call := windows.NewLazySystemDLL("tbs.dll").NewProc("Tbsi_GetDeviceInfo")
	if call.Find() != nil {
		return ""
	}
	info := struct{ structVersion, tpmVersion, interfaceType, revision uint32 }{structVersion: 1}
	result, _, _ := call.Call(unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)))
	switch {
	case uint32(result) == notFound:
		return "none"
	case result != 0:
		return ""
	case info.tpmVersion == 1:
		return "1.2"
	case info.tpmVersion == 2:
		return "2.0"
	}
	return ""
}

func (system) Memory() uint64 {
	call := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	if call.Find() != nil {
		return 0
	}
	status := struct {
		length, load uint32
		total        uint64
		others       [6]uint64
	}{}
	status.length = uint32(unsafe.Sizeof(status))
	if ok, _, _ := call.Call(uintptr(unsafe.Pointer(&status))); ok == 0 {
		return 0
	}
	return status.total
}

func (system) Disks() uint64 {
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return 0
	}
	var total uint64
	for i := range 26 {
		if mask&(1<<i) == 0 {
			continue
		}
		root, err := windows.UTF16PtrFromString(string(rune('A'+i)) + `:\`)
		if err != nil || windows.GetDriveType(root) != windows.DRIVE_FIXED {
			continue
		}
		var free, size, all uint64
		if windows.GetDiskFreeSpaceEx(root, &free, &size, &all) == nil {
			total += size
		}
	}
	return total
}

// Cards leaves out what is software by its name: Windows does not tell the two apart where it lists addresses.
func (system) Cards() []card {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var cards []card
	for _, i := range interfaces {
		name := strings.ToLower(i.Name)
		if i.Flags&net.FlagLoopback != 0 || len(i.HardwareAddr) != 6 || strings.Contains(name, "vethernet") || strings.Contains(name, "virtual") ||
			strings.Contains(name, "vmware") || strings.Contains(name, "bluetooth") || strings.Contains(name, "vpn") || strings.Contains(name, "tap") {
			continue
		}
		cards = append(cards, card{mac: i.HardwareAddr, wireless: strings.Contains(name, "wi-fi") || strings.Contains(name, "wireless")})
	}
	return cards
}

func (system) HostName() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return host
}
