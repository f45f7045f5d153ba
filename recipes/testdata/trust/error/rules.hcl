signer "a" { key = "keys/good.pub" }
images "nobody" { # ERROR: Rule without a signer
  repositories = ["r.example/a"]
}
images "nowhere" { signed_by = ["a"] } # ERROR: Rule without repositories
images "names" {
  repositories = [
    "train",            # ERROR: Invalid repository
    "r.example",        # ERROR: Invalid repository
    "r.example/*/b",    # ERROR: Invalid repository
    "r.example/b*",     # ERROR: Invalid repository
    "r.example/A",      # ERROR: Invalid repository
    "https://r.example/a", # ERROR: Invalid repository
    "r.example/a:latest", # ERROR: Invalid repository
    "r.example/names",
  ]
  signed_by  = ["aa"]   # ERROR: Unknown signer
  signatures = 2        # ERROR: Invalid number of signatures
  level      = "indx"   # ERROR: Unknown level
  max_age    = "7d"     # ERROR: Invalid age
  since      = "soon"   # ERROR: Invalid date
  driver     = "535"    # ERROR: Invalid driver version
  bases      = [
    "trixie",           # ERROR: Invalid base
    "r.example/base@sha256:abc", # ERROR: Invalid base
  ]
  minimum_versions = { torch = "latest", "a b" = "1" } # ERROR: Invalid version # ERROR: Invalid name
  provenance {
    builders         = [""]            # ERROR: Invalid builder
    builder_patterns = ["https://.*"]  # ERROR: Pattern fits anybody
    recipes          = ["sha256:ABC"]  # ERROR: Invalid digest
    locks            = ["no.such"]     # ERROR: File cannot be read
  }
}
images "scans" {
  repositories = ["r.example/scans"]
  signed_by    = ["a", "a"] # ERROR: Signer twice
  scan { # ERROR: Scan of any age
    limit   = "severe" # ERROR: Unknown severity
    at_most = { "hi" = 1 } # ERROR: Unknown severity
  }
}
images "limits" {
  repositories = ["r.example/limits"]
  signed_by    = ["a"]
  scan { # ERROR: Scan of any age
    max_age = "-1 days" # ERROR: Invalid age
    database_max_age = "20000 weeks" # ERROR: Invalid age
    limit   = "high"
    at_most = { critical = 1, low = "-1" } # ERROR: Said twice # ERROR: Invalid number
    vex_signed_by = ["b"] # ERROR: Unknown signer
  }
}
images "open" {
  repositories = ["r.example/open"]
  signed_by    = ["a"]
  scan { max_age = "7 days" } # ERROR: Scan without a limit
  sbom { formats = ["syft"] } # ERROR: Unknown format
}
images "hollow" { # ERROR: Nothing to judge by # ERROR: Nothing to scan # ERROR: Two rules for one repository
  repositories = ["r.example/hollow", "r.example/names"] # comment
  signed_by    = ["a"]
  driver       = ">= 535.1"
  scan {
    max_age = "7 days"
    limit   = "high"
    rescan  = true
  }
}
images "empty" {
  repositories = ["r.example/empty"]
  signed_by    = [] # ERROR: Nobody to trust
  mirrors      = { "m.example/x" = "r.example/other" } # ERROR: Mirror of something else
}
images "empty" { # ERROR: Duplicate rule
  repositories = ["r.example/e2"]
  signed_by    = ["a"]
  mirrors      = { "m.example/*" = "r.example/e2" } # ERROR: Invalid mirror
}
deny_list "absent.hcl" { # ERROR: File cannot be read # ERROR: File cannot be read # ERROR: Deny list without a signer
}
