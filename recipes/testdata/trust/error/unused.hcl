signer "a" { key = "keys/good.pub" }
signer "left over" { key = "keys/good.pub" } # ERROR: Signer that nobody names
images "a" {
  repositories = ["r.example/a"]
  signed_by    = ["a"]
}
