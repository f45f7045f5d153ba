variable "registry" { default = "ghcr.io/acme" }

locals {
  common = ["numpy>=2"]
  all    = concat(local.common, ["pandas"])
}

image "train" {
  repository = "${var.registry}/train"
  tags       = ["2.9.1-cu128"]
  platform   = "linux/amd64"

  pytorch {
    version = "2.9.1"
    cuda    = "12.8"
    gpus    = ["A100", "H100"]
    driver  = ">= 525.60.13"
  }

  python {
    version      = "3.13"
    requirements = local.all
    bytecode     = true
  }

  base "debian" {
    suite    = "trixie"
    packages = ["libgomp1"]
    deny     = ["perl-base"]
  }

  user {
    name   = "ml"
    uid    = 1001
    groups = ["video", "render"]
  }

  workdir    = "/app"
  entrypoint = ["python", "train.py"]
  command    = []
  env        = { OMP_NUM_THREADS = "8" }
  labels     = { team = "ml-platform" }
  ports      = [8080]
  writable   = ["/cache"]

  start {
    no_gpu     = "cpu"
    old_driver = "warn"
  }

  slim {
    drop  = ["static-libraries", "headers", "tests", "cudnn-precompiled-engines"]
    keep  = ["nvidia/cuda_runtime/include/**"]
    codec = "gzip"
  }

  run "compile tokenizer" {
    command = ["python", "-m", "acme.tokenizer"]
    output  = ["/app/tokenizer"]
    env     = { TOKENIZERS_PARALLELISM = "false" }
  }

  test "imports" { command = ["python", "-c", "import torch"] }
}

image "cpu" {
  platform = "linux/arm64"
  python { requirements = [format("%s>=%d", "onnxruntime", 1)] }
}
