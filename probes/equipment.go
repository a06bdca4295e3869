package probes

// FactName names something that can be known of a piece of equipment; it is the tag "fact" of an equipment row.
type FactName string

// The facts of equipment. Values are texts; numbers are written in digits, in base units.
const (
	FactVendor     FactName = "vendor"      // the maker as its name plate says: Cisco, TP-Link
	FactModel      FactName = "model"       // without the vendor's name: WS-C2960X-24TS-L
	FactVersion    FactName = "version"     // of the firmware or the operating system's build
	FactSerial     FactName = "serial"      // of the chassis
	FactClass      FactName = "class"       // one of Classes
	FactHardware   FactName = "hardware"    // hardware revision: V8, B1
	FactSysName    FactName = "name"        // what its owners called it (sysName, host name)
	FactLocation   FactName = "location"    // where its owners said it stands (sysLocation)
	FactDescr      FactName = "descr"       // sysDescr, or another text it says of itself
	FactObjectID   FactName = "object_id"   // sysObjectID
	FactMAC        FactName = "mac"         // base MAC address, 00:11:22:aa:bb:cc
	FactChassisID  FactName = "chassis_id"  // LLDP chassis id
	FactEngineID   FactName = "engine_id"   // SNMP engine id, hex
	FactAddress    FactName = "address"     // where it answered
	FactOS         FactName = "os"          // operating system: Windows 10, Debian GNU/Linux 12
	FactOSEdition  FactName = "os_edition"  // Pro, Enterprise, IoT Enterprise LTSC
	FactOSRelease  FactName = "os_release"  // 22H2
	FactOSBuild    FactName = "os_build"    // 10.0.19045.4412
	FactCPU        FactName = "cpu"         // Intel(R) Core(TM) i3-4130 CPU @ 3.40GHz
	FactRAM        FactName = "ram_bytes"   // in bytes
	FactDisk       FactName = "disk_bytes"  // of all fixed disks, in bytes
	FactTPM        FactName = "tpm"         // specification version: 2.0, 1.2; "none" where it was looked for and is not there
	FactFirmware   FactName = "firmware"    // BIOS/UEFI vendor and version of a PC
	FactMade       FactName = "made"        // BIOS or manufacturing date, 2015-03-17
	FactProtocols  FactName = "protocols"   // what it offers, sorted: "http https snmpv2c ssh2 telnet tls1.2"; no_ before what it was asked for and has not: "no_snmpv3"
	FactHTTPServer FactName = "http_server" // Server header
	FactHTTPTitle  FactName = "http_title"  // title of its first page
	FactSSHBanner  FactName = "ssh_banner"
	FactSIPAgent   FactName = "sip_agent" // User-Agent or Server header of its answer to OPTIONS
)

// FactNames lists every fact, in the order in which screens show them.
func FactNames() []FactName {
	return []FactName{FactVendor, FactModel, FactVersion, FactSerial, FactClass, FactHardware, FactSysName, FactLocation,
		FactDescr, FactObjectID, FactMAC, FactChassisID, FactEngineID, FactAddress, FactOS, FactOSEdition, FactOSRelease,
		FactOSBuild, FactCPU, FactRAM, FactDisk, FactTPM, FactFirmware, FactMade, FactProtocols, FactHTTPServer,
		FactHTTPTitle, FactSSHBanner, FactSIPAgent}
}

// Classes lists the classes of equipment.
func Classes() []string {
	return []string{"router", "switch", "firewall", "access_point", "wireless_controller", "modem", "videoconference",
		"conference_server", "phone", "printer", "scanner", "projector", "ups", "pdu", "camera", "nvr", "nas", "storage",
		"server", "bmc", "pc", "sensor", "network", "other"}
}

// Fact is one thing known of a piece of equipment, with its evidence.
type Fact struct {
	Name       FactName
	Value      string  // at most MaxText bytes; never empty
	Source     string  // how it was read: "snmp 1.3.6.1.2.1.47.1.1.1.1.11.1", "http title", "machine /sys/class/dmi/id/product_name"
	Confidence float64 // 0..1: how sure the value is what the fact means
}

// SelfDevice is the tag "device" of the machine that an agent runs on.
const SelfDevice = "self"

// EquipmentPoints makes the rows of one piece of equipment. device tells apart what one check finds: a name
// (CheckName) that stays with the equipment, not with its address. Facts with an empty value are left out.
func EquipmentPoints(device string, facts []Fact) []Point {
	points := make([]Point, 0, len(facts))
	for _, f := range facts {
		if f.Value == "" {
			continue
		}
		points = append(points, Point{
			Measurement: "equipment",
			Tags:        Tags{{Key: "device", Value: device}, {Key: "fact", Value: string(f.Name)}},
			Fields:      []Field{String("value", f.Value), String("source", f.Source), Float("confidence_ratio", f.Confidence)},
		})
	}
	return points
}
