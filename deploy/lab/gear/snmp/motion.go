package snmp

import (
	"math"

	"communewatch/deploy/lab/gear/snmp/ber"
)

// motion is how a variable advances.
type motion uint8

const (
	still         motion = iota
	moveTicks            // hundredths of a second since the device started
	moveSeconds          // seconds since then, as an INTEGER
	moveCounter32        // at its mean rate
	moveCounter64
	wavePercent  // INTEGER or Gauge32 that waves within 0..100
	waveDegrees  // INTEGER that waves by a few degrees
	waveDegrees1 // the same in tenths of a degree
)

// motionOf says how a variable of a recording advances.
func motionOf(k ber.Key, tag byte) motion {
	switch tag {
	case ber.Counter32:
		return moveCounter32
	case ber.Counter64:
		return moveCounter64
	case ber.TimeTicks:
		if k == keySysUpTime() || k == keyOf(1, 3, 6, 1, 2, 1, 25, 1, 1, 0) {
			return moveTicks
		}
	case ber.Integer, ber.Gauge32:
		if k == keyOf(1, 3, 6, 1, 6, 3, 10, 2, 1, 3, 0) {
			return moveSeconds
		}
		for _, w := range waves() {
			if k.Below(w.root) {
				return w.move
			}
		}
	}
	return still
}

type wave struct {
	root ber.Key
	move motion
}

// waves lists the gauges that move: columns of processor load, load of a UPS and temperatures.
func waves() []wave {
	enterprise := func(arcs ...uint32) ber.Key { return keyOf(append([]uint32{1, 3, 6, 1, 4, 1}, arcs...)...) }
	mib2 := func(arcs ...uint32) ber.Key { return keyOf(append([]uint32{1, 3, 6, 1, 2, 1}, arcs...)...) }
	return []wave{
		{mib2(25, 3, 3, 1, 2), wavePercent},                        // hrProcessorLoad
		{mib2(33, 1, 4, 4, 1, 5), wavePercent},                     // upsOutputPercentLoad
		{mib2(33, 1, 2, 7), waveDegrees},                           // upsBatteryTemperature
		{enterprise(9, 9, 109, 1, 1, 1, 1), wavePercent},           // cpmCPUTotal
		{enterprise(9, 2, 1, 56), wavePercent},                     // busyPer
		{enterprise(9, 2, 1, 57), wavePercent},                     // avgBusy1
		{enterprise(9, 2, 1, 58), wavePercent},                     // avgBusy5
		{enterprise(9, 9, 13, 1, 3, 1, 3), waveDegrees},            // ciscoEnvMonTemperatureStatusValue
		{enterprise(12356, 101, 4, 1, 3), wavePercent},             // fgSysCpuUsage
		{enterprise(12356, 101, 4, 1, 4), wavePercent},             // fgSysMemUsage
		{enterprise(2011, 5, 25, 31, 1, 1, 1, 1, 5), wavePercent},  // hwEntityCpuUsage
		{enterprise(2011, 5, 25, 31, 1, 1, 1, 1, 11), waveDegrees}, // hwEntityTemperature
		{enterprise(11, 2, 14, 11, 5, 1, 9, 6, 1), wavePercent},    // hpSwitchCpuStat
		{enterprise(14988, 1, 1, 3, 10), waveDegrees1},             // mtxrHlTemperature
		{enterprise(318, 1, 1, 1, 4, 2, 3), wavePercent},           // upsAdvOutputLoad
		{enterprise(318, 1, 1, 1, 2, 2, 2), waveDegrees},           // upsAdvBatteryTemperature
		{enterprise(6574, 1, 2), waveDegrees},                      // Synology's temperature
	}
}

// motions of a device: everything is a function of the time since it started.
type clock struct {
	recorded float64 // uptime of the recording, in seconds
	before   float64 // uptime when the lab started the device
	busy     float64 // how busy it is, beside the recorded one
	phase    float64 // of its waves
}

const (
	slowWave = 1800.0 // seconds of a counter's wave; a demo shows some of it
	fastWave = 300.0  // of a gauge's
	swing    = 0.8    // of a counter's rate, around its mean
)

// count is a counter that stood at v in the recording, after a device has been in the lab for t seconds. It never goes
// back: the wave's slope is less than the mean rate.
func (c clock) count(v uint64, row int, t float64) uint64 {
	rate := float64(v) / c.recorded * c.busy
	phase := c.phase + float64(row)
	w := 2 * math.Pi / slowWave
	waved := t + swing/w*(math.Sin(w*t+phase)-math.Sin(phase))
	total := rate*c.before + rate*waved
	if total >= 1<<63 {
		return 1<<63 + uint64(total-1<<63)
	}
	return uint64(total)
}

// gauge waves around v by at most depth.
func (c clock) gauge(v, depth float64, row int, t float64) float64 {
	return v + depth*math.Sin(2*math.Pi*t/fastWave+c.phase+float64(row))
}
