signer "a" { key = "keys/good.pub" }
images "a" {
  repositories = ["r.example/a"]
  signed_by    = ["a"]
}
deny_list "deny.hcl" { signed_by = ["a"] } # ERROR: Deny list is wrong # ERROR: Deny list is wrong # ERROR: Deny list is wrong # ERROR: Deny list is wrong
