# ONNX Runtime on the CPU, for two platforms, without emulation: nothing is executed to make the images.
locals {
  runtime = ["onnxruntime", "numpy"]
}

image "cpu-inference" {
  python {
    requirements = local.runtime
  }

  copy "app" { to = "/app" }
  workdir    = "/app"
  entrypoint = ["python", "infer.py"]

  test "infers" {
    command = ["python", "/app/infer.py"]
  }
}

image "cpu-inference-arm64" {
  platform = "linux/arm64"

  python {
    requirements = local.runtime
  }

  copy "app" { to = "/app" }
  workdir    = "/app"
  entrypoint = ["python", "infer.py"]
}
