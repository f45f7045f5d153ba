image "x" {
  python { # ERROR: Name from elsewhere
    files = ["pyproject.toml"]
  }
}
