image "registry" {
  python { requirements = ["numpy>=2"] }
  base "image" {
    from        = "registry.example/library/python@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    interpreter = "/usr/local/bin/python3"
  }
}

image "layout" {
  python {
    version      = "3.11"
    requirements = ["numpy>=2"]
  }
  base "image" { from = "oci:bases/bookworm@sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
}
