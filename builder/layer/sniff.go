package layer

import (
	"bytes"
	"strings"
)

// Codec is how a layer's tar is compressed.
type Codec string

// The codecs. Tar is read, not written.
const (
	Gzip Codec = "gzip"
	Zstd Codec = "zstd"
	Tar  Codec = "tar" // not compressed
)

// MediaType is the OCI media type of a layer in codec c, or empty for an unknown codec.
// Source: OCI image specification, media-types.md.
func MediaType(c Codec) string {
	switch c {
	case Gzip, Zstd:
		return "application/vnd.oci.image.layer.v1.tar+" + string(c)
	case Tar:
		return "application/vnd.oci.image.layer.v1.tar"
	}
	return ""
}

// CodecOf is the codec that a layer's media type promises, OCI's or Docker's. Layers that lie
// elsewhere (foreign, non-distributable), encrypted ones and others are an *Error.
func CodecOf(mediaType string) (Codec, error) {
	switch mediaType {
	case "application/vnd.oci.image.layer.v1.tar":
		return Tar, nil
	case "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip":
		return Gzip, nil
	case "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.docker.image.rootfs.diff.tar.zstd":
		return Zstd, nil
	}
	switch {
	case strings.Contains(mediaType, "nondistributable"), strings.Contains(mediaType, "foreign"):
		return "", refuse("OCI-03", "", -1, "layer of media type %s lies elsewhere", q(mediaType))
	case strings.Contains(mediaType, "+encrypted"):
		return "", refuse("OCI-06", "", -1, "layer of media type %s is encrypted", q(mediaType))
	}
	return "", refuse("OCI-06", "", -1, "media type %s is no layer's", q(mediaType))
}

// SniffSize is how many bytes Sniff wants to see.
const SniffSize = 512

var magics = []struct {
	name  string
	bytes string
	codec Codec
}{
	{"gzip", "\x1f\x8b", Gzip},
	{"zstd", "\x28\xb5\x2f\xfd", Zstd},
	{"bzip2", "BZh", ""},
	{"xz", "\xfd7zXZ\x00", ""},
	{"7z", "7z\xbc\xaf\x27\x1c", ""},
	{"rar", "Rar!\x1a\x07", ""},
	{"zip", "PK\x03\x04", ""},
	{"lzma", "\x5d\x00\x00", ""},
	{"lz4", "\x04\x22\x4d\x18", ""},
}

// Sniff says in which codec a blob is that starts with p, its first SniffSize bytes or all.
func Sniff(p []byte) (Codec, error) {
	for _, m := range magics {
		if !bytes.HasPrefix(p, []byte(m.bytes)) {
			continue
		}
		if m.codec == "" {
			return "", refuse("CMP-01", "", 0, "layer is compressed by %s, which is not supported", m.name)
		}
		return m.codec, nil
	}
	if len(p) >= 4 && p[0]&0xf0 == 0x50 && string(p[1:4]) == "\x2a\x4d\x18" {
		return "", refuse("CMP-01", "", 0, "layer starts with a skippable zstd frame")
	}
	if len(p) >= block && (bytes.Equal(p[:block], zeros[:block]) || string(p[257:262]) == "ustar") {
		return Tar, nil
	}
	return "", refuse("OCI-06", "", 0, "layer is neither tar, gzip nor zstd")
}

// CheckMediaType compares a layer's media type with the start of its content (OCI-06).
func CheckMediaType(mediaType string, p []byte) (Codec, error) {
	want, err := CodecOf(mediaType)
	if err != nil {
		return "", err
	}
	got, err := Sniff(p)
	if err != nil {
		return "", err
	}
	if got != want {
		return "", refuse("OCI-06", "", 0, "media type %s promises %s, the content is %s", q(mediaType), want, got)
	}
	return got, nil
}
