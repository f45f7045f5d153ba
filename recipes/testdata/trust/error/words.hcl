trusted_root = "root.json"   # ERROR: Trusted root is no JSON
variable "x" { default = 1 } # ERROR: Unknown word
signer "both" {              # ERROR: Signer is two things
  identity = "a@b.example"
  issuer   = "https://issuer.example"
  key      = "keys/good.pub"
}
signer "none" {}                                 # ERROR: Signer without an identity
signer "half" { identity = "a@b.example" }       # ERROR: Identity without an issuer
signer "half" { key = "keys/good.pub" }          # ERROR: Duplicate signer
signer " blank" { key = "keys/good.pub" }        # ERROR: Invalid name
signer "weak" { key = "keys/weak.pub" }          # ERROR: Weak key
signer "p224" { key = "keys/p224.pub" }          # ERROR: Weak key
signer "private" { key = "keys/private.pem" }    # ERROR: Private key in a trust policy
signer "text" { key = "keys/text.pub" }          # ERROR: No public key
signer "outside" { key = "../valid/keys/a.pub" } # ERROR: File cannot be read
signer "address" { key = "https://a.example/k" } # ERROR: File cannot be read
signer "kms" { key = "awskms:///alias/a" }       # ERROR: File cannot be read
signer "window" {
  key   = "keys/good.pub"
  from  = "2027-01-01"
  until = "2026-01-01" # ERROR: Key is never valid
}
signer "date" {
  key  = "keys/good.pub"
  from = "1.1.2026" # ERROR: Invalid date
}
signer "issuer" { # ERROR: Key with a certificate's words
  key    = "keys/good.pub"
  issuer = "https://issuer.example" # comment
}
signer "plain http" {
  identity = "a@b.example"
  issuer   = "http://issuer.example" # ERROR: Invalid issuer
}
signer "twice" {
  identity         = "a@b.example"
  identity_pattern = ".+@b\\.example" # ERROR: Said twice
  issuer           = "https://issuer.example"
}
signer "anybody" {
  identity_pattern = ".*" # ERROR: Pattern fits anybody
  issuer           = "https://issuer.example"
}
signer "any workflow" {
  identity_pattern = "https://github.com/.+" # ERROR: Pattern fits anybody
  issuer           = "https://issuer.example"
}
signer "broken" {
  identity_pattern = "a)|(b" # ERROR: Invalid pattern
  issuer           = "https://issuer.example"
}
signer "look ahead" {
  identity_pattern = "(?!x)a" # ERROR: Invalid pattern
  issuer           = "https://issuer.example"
}
signer "words" {
  identity    = "a@b.example"
  issuer      = "https://issuer.example"
  certificate = { source_repository_reff = "refs/heads/main" } # ERROR: Unknown word of a certificate
}
signer "bound identity" { # ERROR: Identity with a window
  identity = "a@b.example"
  issuer   = "https://issuer.example"
  until    = "2026-01-01"
}
signer "empty" {
  identity = "" # ERROR: Empty value
  issuer   = "https://issuer.example"
}
