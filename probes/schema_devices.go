package probes

// deviceSchema is the part of the contract about devices: what SNMP says of them, and what they are.
func deviceSchema(targetTags []TagSpec) []MeasurementSpec {
	var facts []string
	for _, f := range FactNames() {
		facts = append(facts, string(f))
	}
	with := func(more ...TagSpec) []TagSpec { return append(targetTags[:len(targetTags):len(targetTags)], more...) }
	count := func(key, doc string) FieldSpec { return FieldSpec{Key: key, Type: TypeInt, Doc: doc} }
	ratio := func(key, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Unit: "ratio 0..1", Doc: doc}
	}
	float := func(key, unit, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Unit: unit, Doc: doc}
	}
	delay := func(key, doc string) FieldSpec { // of a conference, so that percentiles are kept of it
		return FieldSpec{Key: key, Type: TypeFloat, Unit: "seconds", Distribution: true, Doc: doc}
	}
	truth := func(key, doc string) FieldSpec { return FieldSpec{Key: key, Type: TypeBool, Doc: doc} }
	text := func(key, doc string) FieldSpec { return FieldSpec{Key: key, Type: TypeString, Doc: doc} }
	enum := func(key, doc string, values ...string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeString, Enum: values, Doc: doc}
	}
	celsius := func(key, doc string) FieldSpec {
		return FieldSpec{Key: key, Type: TypeFloat, Unit: "degrees Celsius", Signed: true, Doc: doc}
	}
	return []MeasurementSpec{
		{
			Name: "snmp_device",
			Kind: KindSNMP,
			Doc:  "One poll of one device over SNMP: how it is, and what asking it took.",
			Tags: targetTags,
			Fields: []FieldSpec{
				float("uptime_seconds", "seconds", "time since the device (or its SNMP agent, where it tells nothing better) started"),
				truth("restarted", "it started anew since the poll before; absent on the first poll"),
				ratio("cpu_ratio", "processor use, mean of all processors"),
				ratio("memory_used_ratio", "memory in use"),
				float("memory_bytes", "bytes", "memory installed"),
				celsius("temperature_celsius", "the hottest sensor"),
				ratio("storage_used_ratio", "use of the fullest fixed disk or flash"),
				text("storage_name", "which one that is"),
				count("interfaces", "interfaces, without loopbacks and the like"),
				count("interfaces_up", "of them in operation"),
				count("neighbours", "LLDP neighbours"),
				truth("partial", "a table of the device was not read to its end; what is counted over it may be too low"),
				text("partial_tables", "which; absent when none"),
				count("requests", "requests sent"),
				count("retries", "of them sent again because no answer came"),
				count("variables", "variables received"),
				enum("snmp_version", "the protocol version that the device answered", "1", "2c", "3"),
			},
		},
		{
			Name: "snmp_if",
			Kind: KindSNMP,
			Doc:  "One interface of a polled device. Counts and rates are since the poll before; they are absent on the first poll, and after a restart or a reset of the counters.",
			Tags: with(TagSpec{Key: "interface", Doc: "the interface's name in lower case, with - for what a tag can't hold"}),
			Fields: []FieldSpec{
				text("name", "the name as the device writes it (ifName, else ifDescr)"),
				text("alias", "what its owners call it (ifAlias)"),
				truth("admin_up", "switched on"),
				truth("oper_up", "in operation"),
				float("speed_bps", "bit/s", "nominal speed; absent where the device does not know"),
				enum("duplex", "duplex mode (EtherLike-MIB)", "half", "full", "unknown"),
				float("in_bps", "bit/s", "mean rate in"),
				float("out_bps", "bit/s", "mean rate out"),
				ratio("in_use_ratio", "mean rate in / speed, at most 1"),
				ratio("out_use_ratio", "mean rate out / speed, at most 1"),
				count("in_packets", "packets in, of all kinds that the device counts"),
				count("out_packets", "packets out"),
				count("in_errors", "packets in that were damaged"),
				count("out_errors", "packets that could not be sent"),
				count("in_discards", "packets in that were dropped though undamaged"),
				count("out_discards", "packets out that were dropped though undamaged"),
				truth("changed", "the operational state is another than at the poll before, or ifLastChange moved"),
				truth("counters_reset", "counters went back or were declared discontinuous, so nothing is known of the time since the poll before"),
				count("counter_bits", "64 or 32: width of the octet counters that the rates are from"),
				float("window_seconds", "seconds", "time that counts and rates cover"),
			},
		},
		{
			Name: "snmp_neighbour",
			Kind: KindSNMP,
			Doc:  "One LLDP neighbour of a polled device.",
			Tags: with(TagSpec{Key: "interface", Doc: "the local interface, as in snmp_if"}, TagSpec{Key: "neighbour", Doc: "a number that stays with the neighbour's chassis and port"}),
			Fields: []FieldSpec{
				text("chassis_id", "the neighbour's chassis id"),
				text("port_id", "its port's id"),
				text("port_descr", "its port's description"),
				text("sys_name", "its name"),
				text("sys_descr", "its description"),
			},
		},
		{
			Name: "snmp_ups",
			Kind: KindSNMP,
			Doc:  "A UPS (UPS-MIB RFC 1628, or the maker's own).",
			Tags: targetTags,
			Fields: []FieldSpec{
				truth("on_battery", "the load runs from the battery"),
				float("on_battery_seconds", "seconds", "for how long it has"),
				enum("battery_status", "state of the battery", "unknown", "normal", "low", "depleted"),
				truth("battery_replace", "the UPS asks for a new battery"),
				ratio("charge_ratio", "charge of the battery"),
				float("runtime_seconds", "seconds", "how long the battery will last"),
				ratio("load_ratio", "load; the largest of the outputs"),
				float("input_volts", "V", "input voltage; the lowest of the lines"),
				float("output_volts", "V", "output voltage"),
				celsius("battery_celsius", "temperature of the battery"),
				count("alarms", "alarms present"),
			},
		},
		{
			Name: "snmp_printer",
			Kind: KindSNMP,
			Doc:  "A printer (Printer-MIB RFC 3805, HOST-RESOURCES-MIB).",
			Tags: targetTags,
			Fields: []FieldSpec{
				enum("status", "hrPrinterStatus", "other", "unknown", "idle", "printing", "warmup"),
				text("trouble", "what it complains of (hrPrinterDetectedErrorState); absent when nothing"),
				count("pages", "pages printed in its life"),
				ratio("supply_lowest_ratio", "the supply that is nearest to its end"),
				text("supply_lowest", "which one that is"),
				count("alerts", "critical alerts present"),
			},
		},
		{
			Name: "snmp_endpoint",
			Kind: KindSNMP,
			Doc:  "A conference endpoint, as far as its MIB tells.",
			Tags: targetTags,
			Fields: []FieldSpec{
				enum("h323", "registration with a gatekeeper", "disabled", "registered", "unregistered", "failed"),
				enum("sip", "registration with a SIP registrar or call manager", "disabled", "registered", "unregistered", "failed"),
				truth("in_call", "a call is on"),
				ratio("in_loss_ratio", "packets lost on the way to the endpoint, worst stream of the call"),
				ratio("out_loss_ratio", "packets lost on the way from the endpoint, worst stream of the call"),
				delay("jitter_seconds", "jitter, worst stream of the call"),
				delay("latency_seconds", "latency there and back, worst stream of the call"),
				enum("camera", "state of the camera; of several the worst", "unknown", "ok", "failed"),
				enum("microphone", "state of the microphone; of several the worst", "unknown", "ok", "failed"),
				enum("display", "state of the display; of several the worst", "unknown", "ok", "failed"),
			},
		},
		{
			Name: "equipment",
			Doc:  "One fact about one piece of equipment, with its evidence. Written at the first run of a check, when a fact changes, and every few hours.",
			Tags: with(
				TagSpec{Key: "device", Doc: "tells apart what one check finds; self is the agent's own machine"},
				TagSpec{Key: "fact", Enum: facts, Doc: "what is known"}),
			Fields: []FieldSpec{
				text("value", "the fact"),
				text("source", "how it was read: an OID, a header, a file of the machine"),
				ratio("confidence_ratio", "how sure the value is what the fact means"),
			},
		},
	}
}
