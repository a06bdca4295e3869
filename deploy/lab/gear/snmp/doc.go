// Package snmp is the SNMP side of the lab's equipment: a responder that answers real datagrams from recordings.
//
// SNMP is a question and an answer in one UDP datagram each, both written in BER (ITU-T X.690): every value is a tag, a
// length and its bytes. A message of version 1 (RFC 1157) or 2c (RFC 3416) holds the version, a community (a password in
// clear) and a PDU: Get asks for variables by number, GetNext for the ones that follow them, GetBulk for several that
// follow. The versions differ where something is missing: in version 1 the whole request fails (noSuchName, and nothing
// else is answered), in 2c each variable carries its own exception. Version 3 (RFC 3412, 3414) puts users in place of the
// community: a message is signed with a key made of the user's passphrase and the device's engine id, carries the
// device's clock so that it can't be replayed, and is encrypted. Whoever asks learns engine id and clock from reports.
//
// A Table is a decoded recording, shared by every device of a model; a Device lays over it what is its own (serial
// number, MAC addresses, names), its clock and its quirks; a Responder is a socket on which a device answers. A thousand
// of them run in one process, so a request costs no more than the variables it asks for.
//
// # Recordings
//
// A recording is a text in the snmprec format, one variable per line: OID|TAG|VALUE, where the tag is the decimal BER tag
// and a tag that ends in x has its value in hexadecimal. Lines that begin with # are comments, except these:
//
//	#! device serial=FOC1531X2AB vary=4 mac=001de5a1b200
//	#! expect vendor=Cisco model=WS-C2960-24TT-L class=switch
//	#! web title="Vigor Login Page" server=DrayTek
//	#! sip agent="Polycom/RealPresence Group 500"
//	#! ports first=10001 count=24 name=FastEthernet0/%d speed=100 up=9
//
// device names the serial number and the first MAC address that the recording shows, so that each device can show its
// own in their place, in whatever form they stand; vary is how many of the serial's last characters differ between
// devices. expect is what an observer should make of the device. web and sip are what it says of itself to others than
// SNMP. ports stands for rows of the interface tables.
//
// # What moves
//
// Recordings hold one moment, but what a device says advances from it without anything more in the file: uptime with the
// clock, every counter at the mean rate that its recorded value and the recorded uptime give, in a slow wave, and a few
// gauges (processor, temperature, load of a UPS) around their recorded value. 32-bit counters that have a 64-bit
// counterpart are its lower half.
package snmp
