package sbom

// RPM's newer databases are SQLite's. Syft asks for a driver of that name and stops without
// one; this is the driver that Grype registers too, and there can be one of a name only.
import _ "github.com/glebarez/go-sqlite"
