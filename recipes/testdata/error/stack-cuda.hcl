image "x" {
  pytorch {
    version = "2.9.1"
    cuda    = "12.4" # ERROR: STACK 12.6
  }
}
