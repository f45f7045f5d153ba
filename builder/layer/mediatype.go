package layer

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
