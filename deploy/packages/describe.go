package packages

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Description is what Windows shows as a program's properties.
type Description struct {
	Product, Text, Company, Version, File string
}

// Describe writes a description into a program for Windows that has none. It adds a section of resources at its end, as
// a linker would have: a header in the room left after the last one, the data after the last section, the sizes in the
// optional header. See Microsoft's "PE Format", sections 3.4 and 6.9, and the structure VS_VERSIONINFO.
func Describe(file string, d Description) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	described, err := addResources(data, func(rva uint32) []byte { return resources(d.block(), rva) })
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, described, 0o755)
}

const (
	sectionHeader = 40
	readableData  = 0x40000040 // IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ
	resourceTable = 2          // in the data directories
)

func addResources(data []byte, make func(rva uint32) []byte) ([]byte, error) {
	f, err := pe.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	opt, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok {
		return nil, errors.New("not a program of 64 bits")
	}
	if opt.DataDirectory[resourceTable].Size != 0 {
		return nil, errors.New("it has resources already")
	}
	if f.FileHeader.NumberOfSymbols != 0 {
		return nil, errors.New("it has symbols at its end; link it with -s")
	}
	align := func(n, to uint32) uint32 { return (n + to - 1) / to * to }
	var rva, end, first uint32 = 0, 0, opt.SizeOfHeaders
	for _, s := range f.Sections {
		rva = max(rva, align(s.VirtualAddress+max(s.VirtualSize, s.Size), opt.SectionAlignment))
		end = max(end, s.Offset+s.Size)
	}
	peStart := binary.LittleEndian.Uint32(data[0x3c:])
	headers := peStart + 4 + uint32(binary.Size(f.FileHeader)) + uint32(f.FileHeader.SizeOfOptionalHeader)
	header := headers + uint32(len(f.Sections))*sectionHeader
	if header+sectionHeader > first {
		return nil, errors.New("no room for another section's header")
	}
	content := make(rva)
	raw := align(uint32(len(content)), opt.FileAlignment)
	offset := align(end, opt.FileAlignment)

	out := append([]byte(nil), data[:min(end, uint32(len(data)))]...)
	out = append(out, bytes.Repeat([]byte{0}, int(offset)-len(out))...)
	out = append(out, content...)
	out = append(out, bytes.Repeat([]byte{0}, int(raw)-len(content))...)
	h := out[header : header+sectionHeader]
	copy(h, ".rsrc\x00\x00\x00")
	le := binary.LittleEndian
	le.PutUint32(h[8:], uint32(len(content)))
	le.PutUint32(h[12:], rva)
	le.PutUint32(h[16:], raw)
	le.PutUint32(h[20:], offset)
	le.PutUint32(h[36:], readableData)
	le.PutUint16(out[peStart+4+2:], uint16(len(f.Sections)+1))
	optional := out[peStart+4+uint32(binary.Size(f.FileHeader)):]
	le.PutUint32(optional[8:], opt.SizeOfInitializedData+raw)
	le.PutUint32(optional[56:], align(rva+uint32(len(content)), opt.SectionAlignment)) // SizeOfImage
	le.PutUint32(optional[112+8*resourceTable:], rva)
	le.PutUint32(optional[112+8*resourceTable+4:], uint32(len(content)))
	return out, nil
}

const (
	typeVersion = 16     // RT_VERSION
	english     = 0x0409 // the language that every program names; texts are what they are
	unicodePage = 0x04b0
)

// resources is a section with one resource: three levels of directories (type, name, language), each with one entry, then
// where the data are, then the data.
func resources(version []byte, rva uint32) []byte {
	const (
		directory = 16 + 8
		leaf      = 3 * directory
		data      = leaf + 16
		deeper    = 1 << 31
	)
	var out bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, binary.LittleEndian, v) // into memory
		}
	}
	for level, id := range []uint32{typeVersion, 1, english} {
		to := uint32(leaf)
		if level < 2 {
			to = deeper | uint32(level+1)*directory
		}
		put(uint32(0), uint32(0), uint16(0), uint16(0), uint16(0), uint16(1), id, to)
	}
	put(rva+data, uint32(len(version)), uint32(0), uint32(0))
	out.Write(version)
	return out.Bytes()
}

var leadingNumbers = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)`)

// block is the description as VS_VERSIONINFO.
func (d Description) block() []byte {
	var number [4]uint16 // 0.0.0.0 where the version has no numbers
	if m := leadingNumbers.FindStringSubmatch(d.Version); m != nil {
		for i, text := range m[1:] {
			n, _ := strconv.ParseUint(text, 10, 16) // digits; beyond 65535 it stays there
			number[i] = uint16(n)
		}
	}
	high, low := uint32(number[0])<<16|uint32(number[1]), uint32(number[2])<<16|uint32(number[3])
	var fixed bytes.Buffer
	for _, v := range []uint32{0xfeef04bd, 0x10000, high, low, high, low, 0x3f, 0, 0x40004, 1, 0, 0, 0} {
		_ = binary.Write(&fixed, binary.LittleEndian, v) // into memory
	}
	var texts []byte
	for _, pair := range [][2]string{
		{"CompanyName", d.Company}, {"FileDescription", d.Text}, {"FileVersion", d.Version}, {"InternalName", d.Product},
		{"OriginalFilename", d.File}, {"ProductName", d.Product}, {"ProductVersion", d.Version},
	} {
		value := wide(pair[1])
		texts = append(padded(texts), node(pair[0], value, len(value)/2, true, nil)...)
	}
	table := node(fmt.Sprintf("%04x%04x", english, unicodePage), nil, 0, true, texts)
	translation := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, english), unicodePage)
	children := node("StringFileInfo", nil, 0, true, table)
	children = append(padded(children), node("VarFileInfo", nil, 0, true, node("Translation", translation, len(translation), false, nil))...)
	return node("VS_VERSION_INFO", fixed.Bytes(), fixed.Len(), false, children)
}

// node is one block of VS_VERSIONINFO: its length, that of its value, whether that is text, its key, value and children,
// each at a multiple of four bytes.
func node(key string, value []byte, valueLength int, text bool, children []byte) []byte {
	out := make([]byte, 6)
	out = padded(append(out, wide(key)...))
	if len(value) > 0 {
		out = append(out, value...)
	}
	if len(children) > 0 {
		out = append(padded(out), children...)
	}
	binary.LittleEndian.PutUint16(out, uint16(len(out)))
	binary.LittleEndian.PutUint16(out[2:], uint16(valueLength))
	if text {
		out[4] = 1
	}
	return out
}

func padded(b []byte) []byte { return append(b, make([]byte, (4-len(b)%4)%4)...) }

// wide is a text in UTF-16 with its end.
func wide(s string) (out []byte) {
	for _, c := range append(utf16.Encode([]rune(strings.ReplaceAll(s, "\x00", ""))), 0) {
		out = binary.LittleEndian.AppendUint16(out, c)
	}
	return out
}
