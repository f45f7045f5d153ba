# Which images this cluster takes, and on whose word.

trusted_root = "root.json"

signer "image workflow" {
  identity = "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"
  issuer   = "https://token.actions.githubusercontent.com"
  certificate = {
    build_trigger      = "push"
    runner_environment = "github-hosted"
  }
}

signer "release workflow" {
  identity_pattern = "https://github\\.com/acme/[a-z-]+/\\.github/workflows/release\\.yml@refs/tags/v[0-9.]+"
  issuer           = "https://token.actions.githubusercontent.com"
}

signer "release key 2026" {
  key   = "keys/release-2026.pub"
  until = "2027-01-31"
}

signer "release key 2027" {
  key  = "keys/release-2027.pub"
  from = "2026-12-01"
}

signer "nightly scan" {
  identity = "https://github.com/acme/ml/.github/workflows/scan.yml@refs/heads/main"
  issuer   = "https://token.actions.githubusercontent.com"
}

signer "security" { key = "keys/security.pub" }

deny_list "deny.hcl" { signed_by = ["security"] }

images "production" {
  repositories = ["registry.acme.example/ml/*"]
  mirrors      = { "mirror.acme.example/ml/*" = "registry.acme.example/ml/*" }
  signed_by    = ["image workflow", "release workflow"]
  signatures   = 2
  level        = "index"
  max_age      = "90 days"
  since        = "2026-06-01"

  minimum_versions = { torch = "2.9.1" }
  driver           = ">= 535.104.05"
  bases            = ["debian trixie", "registry.acme.example/base/*"]

  sbom { formats = ["spdx"] }

  provenance {
    builders         = ["https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"]
    builder_patterns = ["https://github\\.com/acme/[a-z]+/\\.github/workflows/release\\.yml@.*"]
    recipes          = ["train.recipe"]
    locks            = ["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
  }

  scan {
    signed_by        = ["nightly scan"]
    max_age          = "7 days"
    database_max_age = "2 days"
    limit            = "high"
    at_most          = { medium = 10 }
    accept_waivers   = true
    rescan           = true
    vex_signed_by    = ["security"]
  }

  tests {}
}

images "experiments" {
  repositories = ["registry.acme.example/ml/scratch/*"]
  signed_by    = ["release key 2026", "release key 2027"]
  level        = "platform"
}
