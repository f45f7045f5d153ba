signer "me" { key = "keys/release-2026.pub" }
images "all" {
  repositories = ["*"]
  signed_by    = ["me"]
}
