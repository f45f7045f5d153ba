image "none" {
  sign {} # ERROR: Sign without a signer
}

image "half" {
  sign { # ERROR: Sign without a signer
    identity = "ml@acme.example"
  }
}

image "outside" {
  sign {
    key = "/root/cosign.key" # ERROR: File from outside
  }
}

image "kms" {
  sign {
    key = "awskms:///alias/ml"
  }
}

image "empty" {
  sign {
    key = "awskms://" # ERROR: Unknown key service
  }
}
