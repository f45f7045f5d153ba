# The base that the Dockerfiles of the benchmark start from: the same Debian and Python, with pip and uv.
image "bench-base" {
  python {
    requirements = ["pip", "uv"]
  }
  base "debian" {
    suite = "trixie"
  }
  slim { codec = "gzip" }
}
