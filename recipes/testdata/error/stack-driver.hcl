image "x" {
  pytorch {
    version = "2.9.1"
    cuda    = "12.8"
    driver  = ">= 470.82" # ERROR: STACK 525.60.13
  }
}
