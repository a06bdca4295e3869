package purchases

// Read reads a list of purchases, CSV or XLSX; name is used for messages alone.
func (o Options) Read(name string, data []byte) Import { return Import{} }
