package identify

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"communewatch/probes"
	"communewatch/probes/snmp/ask"
	"communewatch/probes/snmp/recording"
)

// counted counts the questions that a device is asked, and stops answering after some.
type counted struct {
	ask.Device
	questions, answers int
}

var errSilent = errors.New("no answer")

func (c *counted) Get(ctx context.Context, oids ...ask.OID) ([]ask.Var, error) {
	if c.questions++; c.questions > c.answers {
		return nil, errSilent
	}
	return c.Device.Get(ctx, oids...)
}

func (c *counted) Walk(ctx context.Context, root ask.OID, most int) ([]ask.Var, error) {
	if c.questions++; c.questions > c.answers {
		return nil, errSilent
	}
	return c.Device.Walk(ctx, root, most)
}

func openEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestASilentDeviceIsAnError(t *testing.T) {
	_, err := openEngine(t).Identify(context.Background(), &counted{Device: device{}})
	if !errors.Is(err, errSilent) {
		t.Errorf("error %v, want that the device is silent", err)
	}
}

func TestADeviceThatStopsAnsweringIsLeftAlone(t *testing.T) {
	dev := &counted{answers: 1, Device: device{sysDescr: text("Some Device 1.2"), sysObjectID: object("1.3.6.1.4.1.9.1.1")}}
	id, err := openEngine(t).Identify(context.Background(), dev)
	if err != nil {
		t.Fatal(err)
	}
	if dev.questions > dev.answers+giveUp {
		t.Errorf("%d questions were sent after it stopped answering, want at most %d", dev.questions-dev.answers, giveUp)
	}
	if got := id.Fact(probes.FactDescr).Value; got != "Some Device 1.2" {
		t.Errorf("what it said before is lost: descr is %q", got)
	}
}

// liar answers every question with variables that were not asked for.
type liar struct{}

func (liar) Get(context.Context, ...ask.OID) ([]ask.Var, error) {
	return []ask.Var{{OID: "1.3.6.1.2.1.99.1", Value: text("liar")}}, nil
}

func (liar) Walk(context.Context, ask.OID, int) ([]ask.Var, error) {
	return []ask.Var{{OID: "1.3.6.1.2.1.99.1", Value: text("liar")}}, nil
}

func TestALiarIsNotBelieved(t *testing.T) {
	id, err := openEngine(t).Identify(context.Background(), liar{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range id.Facts {
		if strings.Contains(f.Value, "liar") {
			t.Errorf("%s is %q from an answer to another question", f.Name, f.Value)
		}
	}
}

func TestJunkIsNoFact(t *testing.T) {
	for _, c := range []struct {
		name       probes.FactName
		value, why string
	}{
		{probes.FactSerial, "0123456789", "counting"}, {probes.FactSerial, "None", "none"}, {probes.FactSerial, "000000000", "zeros"},
		{probes.FactSerial, "To be filled by O.E.M.", "the maker forgot"}, {probes.FactSerial, "123", "short"},
		{probes.FactModel, "N/A", "n/a"}, {probes.FactVersion, "unknown", "unknown"}, {probes.FactVersion, "0.0", "zero"},
		{probes.FactVersion, "latest", "no digit"}, {probes.FactSerial, "no serial number found", "a sentence"}, {probes.FactSerial, "00-00-00-00-00-00", "zeros"},
		{probes.FactModel, "Chassis", "any device is one"}, {probes.FactModel, "1", "a number of what"}, {probes.FactVendor, "UPS", "no make"},
	} {
		if got := clean(c.name, c.value, ""); got != "" {
			t.Errorf("%s %q (%s) became %q", c.name, c.value, c.why, got)
		}
	}
	for _, c := range []struct {
		name               probes.FactName
		value, maker, want string
	}{
		{probes.FactModel, "Cisco C9200L-24T-4G", "Cisco", "C9200L-24T-4G"}, {probes.FactModel, "Ciscotronic 5", "Cisco", "Ciscotronic 5"},
		{probes.FactSerial, "S/N: ABC12345", "", "ABC12345"}, {probes.FactVersion, "Version 6.49.10", "", "6.49.10"}, {probes.FactSerial, "SN12345678", "", "SN12345678"},
	} {
		if got := clean(c.name, c.value, c.maker); got != c.want {
			t.Errorf("%s %q became %q, want %q", c.name, c.value, got, c.want)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add([]byte("1.3.6.1.2.1.1.1.0|4|Cisco IOS Software, C2960 Software, Version 12.2(55)SE\n1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.9.1.716\n"))
	f.Add([]byte("1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.8072.3.2.10\n1.3.6.1.2.1.47.1.1.1.1.5.1|2|3\n1.3.6.1.2.1.47.1.1.1.1.11.1|4x|ff00\n"))
	e := openEngine(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := recording.Parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		dev := &counted{Device: rec, answers: 1000}
		id, err := e.Identify(context.Background(), dev)
		if err != nil {
			t.Fatalf("a recording answers everything: %v", err)
		}
		if dev.questions > 200 {
			t.Errorf("%d questions for one device", dev.questions)
		}
		for _, fact := range id.Facts {
			if fact.Value == "" || fact.Source == "" || fact.Confidence <= 0 || fact.Confidence > 1 || len(fact.Value) > probes.MaxText {
				t.Errorf("fact without evidence, or out of bounds: %+v", fact)
			}
		}
	})
}

func TestAHostsNameIsNoMake(t *testing.T) {
	e := openEngine(t)
	for _, name := range []string{"projector", "aver", "te40", "openwrt", "barco-pc", "logitech", "sato"} {
		id, err := e.Identify(context.Background(), device{
			sysDescr:    text("Linux " + name + " 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 x86_64"),
			sysObjectID: object("1.3.6.1.4.1.8072.3.2.10"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if class, vendor, model := id.Fact(probes.FactClass).Value, id.Fact(probes.FactVendor).Value, id.Fact(probes.FactModel).Value; class != "server" || vendor != "Debian" || model != "" {
			t.Errorf("a server named %s is a %s %q of %s", name, class, model, vendor)
		}
		if got := id.Fact(probes.FactDescr).Value; !strings.Contains(got, name) {
			t.Errorf("sysDescr is given as %q, without the name", got)
		}
	}
}

func TestAPowerSuppliesSerialIsNotTheDevices(t *testing.T) {
	id, err := openEngine(t).Identify(context.Background(), device{
		sysDescr: text("Some Switch"), sysObjectID: object("1.3.6.1.4.1.99999.1"),
		entClass + ".1": number(6), entPhysical + ".11.1": text("PSU1234567"), entPhysical + ".13.1": text("PWR-500"),
		entClass + ".2": number(7), entPhysical + ".11.2": text("FAN1234567"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if serial, model := id.Fact(probes.FactSerial).Value, id.Fact(probes.FactModel).Value; serial != "" || model != "" {
		t.Errorf("model %q, serial %q of a part", model, serial)
	}
}

// A number under a name that promises a text is a mistake of the device, not a model or a version.
func TestANumberIsNoText(t *testing.T) {
	of := func(kind ask.Type) ask.Value { return ask.Value{Type: kind, Num: 409677} }
	for _, kind := range []ask.Type{ask.Integer, ask.Counter32, ask.Gauge32, ask.TimeTicks, ask.Counter64} {
		id, err := openEngine(t).Identify(context.Background(), device{
			sysDescr: of(kind), sysObjectID: object("1.3.6.1.4.1.99999.1"), sysName: of(kind), sysLocation: of(kind),
			entClass + ".1": number(3), entPhysical + ".10.1": of(kind), entPhysical + ".11.1": of(kind), entPhysical + ".12.1": of(kind), entPhysical + ".13.1": of(kind),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range id.Facts {
			if strings.Contains(f.Value, "4096") {
				t.Errorf("type %d: %s is %q (%s)", kind, f.Name, f.Value, f.Source)
			}
		}
	}
	id, err := openEngine(t).Identify(context.Background(), device{
		sysDescr: text("Some Switch"), sysObjectID: object("1.3.6.1.4.1.99999.1"),
		entClass + ".1": number(3), entPhysical + ".10.1": object("1.3.6.1.4.1.99999.2"), entPhysical + ".13.1": {Type: ask.IPAddress, Bytes: []byte{192, 0, 2, 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if model, version := id.Fact(probes.FactModel).Value, id.Fact(probes.FactVersion).Value; model != "" || version != "" {
		t.Errorf("model %q, version %q of an OID and an address", model, version)
	}
}

func TestWhatItsOwnerWroteIsNoMake(t *testing.T) {
	e := openEngine(t)
	for _, descr := range []string{"Barco room", "Polycom HDX 7000 room", "pfSense spare", "SATO", "uplink to EAP245"} {
		id, err := e.Identify(context.Background(), device{
			sysDescr: text(descr), sysObjectID: object("1.3.6.1.4.1.12356.101.1.641"),
			"1.3.6.1.4.1.12356.100.1.1.1.0": text("FGT60E0000000001"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if vendor, model, class := id.Fact(probes.FactVendor).Value, id.Fact(probes.FactModel).Value, id.Fact(probes.FactClass).Value; vendor != "Fortinet" || model != "FortiGate-60E" || class != "firewall" {
			t.Errorf("a firewall described as %q is a %s %q of %s", descr, class, model, vendor)
		}
	}
}
