package identity

// Index finds known devices by what identifies them. It is not safe for concurrent use.
type Index struct{ devices map[string]Device }

// NewIndex returns an index of devices.
func NewIndex(devices []Device) *Index {
	x := &Index{devices: map[string]Device{}}
	for _, d := range devices {
		x.Put(d)
	}
	return x
}

// Put adds a device, or replaces the one with its ID.
func (x *Index) Put(d Device) { x.devices[d.ID] = d }

// Remove takes a device out, as after it was joined to another.
func (x *Index) Remove(id string) { delete(x.devices, id) }

// Decide says which known device a sighting is of.
func (x *Index) Decide(s Sighting) Decision { return Decision{Kind: KindNew, Reason: ReasonUnknown} }

// Decide says which of the known devices a sighting is of.
func Decide(known []Device, s Sighting) Decision { return NewIndex(known).Decide(s) }

// Learn returns the device with what a sighting of it adds. For a new device, pass one with its ID alone.
func (d Device) Learn(s Sighting) Device { return d }
