image "tag" {
  base "image" { from = "registry.example/python:3.13" } # ERROR: Base is not pinned
}
image "short" {
  base "image" { from = "registry.example/python@sha256:0011" } # ERROR: Invalid digest
}
image "capital" {
  base "image" { from = "registry.example/python@SHA256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" } # ERROR: Invalid digest
}
image "other" {
  base "image" { from = "registry.example/python@sha512:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" } # ERROR: Invalid digest
}
image "name" {
  base "image" { from = "https://registry.example/python@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" } # ERROR: Invalid base
}
image "outside" {
  base "image" { from = "oci:../x@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" } # ERROR: Base from outside
}
image "nothing" {
  base "image" {} # ERROR: Base without an image
}
image "words" {
  base "image" {
    from        = "registry.example/python@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    interpreter = "bin/python3" # ERROR: Invalid path
    suite       = "trixie" # ERROR: Unknown word
  }
}
image "unknown" {
  base "debain" {} # ERROR: Unknown base
}
image "python" {
  python { version = "3.12" } # ERROR: STACK base "image"
  base "debian" {}
}

image "signed-by-nobody" {
  base "image" {
    from = "registry.example/python@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    signed_by {} # ERROR: Base signed by nobody
  }
}

image "signed-by-two" {
  base "image" {
    from = "registry.example/python@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    signed_by { # ERROR: Base signed by nobody
      key      = "base.pub"
      identity = "ml@acme.example"
      issuer   = "https://accounts.example"
    }
  }
}

image "signed-by-half" {
  base "image" {
    from = "registry.example/python@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    signed_by { # ERROR: Base signed by nobody
      identity   = "*" # ERROR: Invalid identity
      trust_root = "../root.json" # ERROR: File from outside
      repository = "python:3.13" # ERROR: Invalid repository
    }
  }
}
