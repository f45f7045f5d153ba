image "x" {
  python { # ERROR: Name from two indexes
    requirements = ["acme-core"]
    index "a" {
      url      = "https://a.example/simple"
      packages = ["acme-*"]
    }
    index "b" {
      url      = "https://b.example/simple"
      packages = ["acme-c*"]
    }
  }
}
