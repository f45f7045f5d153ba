issued = "2026-11-20"
image "sha256:00" { reason = "short" }
key "sha256:ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100" {}
identity "(" {
  pattern = true
  reason  = "x"
}
