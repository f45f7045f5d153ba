issued = "2026-11-20"
until  = "2026-12-20"

image "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" {
  reason = "it held the staging database's password"
}

key "sha256:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100" {
  reason = "stolen with a laptop"
  since  = "2026-10-01"
}

identity "https://github.com/acme/old/.*" {
  pattern = true
  reason  = "the repository was taken over"
}
