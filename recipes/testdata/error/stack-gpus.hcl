image "x" {
  pytorch {
    version = "2.11.0"
    gpus    = ["V100", "RTX 5090"] # ERROR: STACK torch 2.10.0 with CUDA 12.8
  }
}
