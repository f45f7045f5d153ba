image "train" {
  pytorch {}
  vulnerabilities {
    fail_on     = "hihg" # ERROR: Unknown severity
    unknown     = "High" # ERROR: Unknown severity
    only_fixed  = "perhaps" # ERROR: Wrong kind of value
    max_db_age  = "5 days" # ERROR: Invalid age
    vex         = ["none/*.json", "../x.json", "[", "bad.txt"] # ERROR: VEX is missing # ERROR: Invalid pattern # ERROR: VEX is missing
    ignore      = ["CVE-2025-32434"] # ERROR: Unknown word
    waive "*" { # ERROR: Invalid waiver
      package = "torch"
      reason  = "all of it"
      owner   = "ml-platform"
      until   = "2027-01-31"
    }
    waive "CVE-2025-32434" { # ERROR: Invalid waiver # ERROR: Invalid waiver # ERROR: Invalid waiver # ERROR: Invalid waiver
    }
    waive "CVE-2025-32435" {
      package = "*" # ERROR: Invalid waiver
      reason  = "..." # ERROR: Invalid waiver
      owner   = " " # ERROR: Invalid waiver
      until   = "2027-02-30" # ERROR: Invalid waiver
      forever = true # ERROR: Unknown word
    }
    waive "CVE-2025-32436" {
      package = "torch"
      reason  = "one reason"
      owner   = "ml-platform"
      until   = "2027-01-31"
    }
    waive "cve-2025-32436" { # ERROR: Waiver twice
      package = "Torch"
      reason  = "another reason"
      owner   = "ml-platform"
      until   = "2027-06-30"
    }
    waive "one" "two" { # ERROR: Wrong number of labels
    }
  }
  vulnerabilities {} # ERROR: Duplicate block
}
