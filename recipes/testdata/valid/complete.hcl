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
    files        = ["requirements.txt"]
    bytecode     = true
    index "internal" {
      url      = "https://pypi.acme.example/simple"
      packages = ["acme-*"]
    }
    wheel "dist/acme_kernels-1.0-cp313-cp313-linux_x86_64.whl" {}
    wheel "https://files.acme.example/acme_data-2.0-py3-none-any.whl" {
      sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    }
    accept "somefile-1.0-py3-none-any.whl" {
      sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
      reason = "the mirror's page is older than the file"
    }
  }

  base "debian" {
    suite    = "trixie"
    packages = ["libgomp1"]
    deny     = ["perl-base"]
    snapshot = "2026-11-01T00:00:00Z"
    archive "acme" {
      url        = "https://deb.acme.example"
      key        = "acme.gpg"
      suite      = "trixie"
      components = ["main"]
    }
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

  environment "analysis" {
    requirements = ["polars"]
    files        = ["requirements.txt"]
  }

  run "compile tokenizer" {
    command = ["python", "-m", "acme.tokenizer"]
    output  = ["/app/tokenizer"]
    env     = { TOKENIZERS_PARALLELISM = "false" }
  }

  test "imports" { command = ["python", "-c", "import torch"] }

  sign {
    identity = "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"
    issuer   = "https://token.actions.githubusercontent.com"
  }

  vulnerabilities {
    fail_on     = "high"
    only_fixed  = false
    unknown     = "high"
    max_db_age  = "120h"
    vex         = ["vex/*.openvex.json"]
    vex_authors = ["Acme Product Security"]
    waive "CVE-2025-32434" {
      package = "torch"
      reason  = "models are loaded from safetensors only"
      owner   = "ml-platform"
      until   = "2027-01-31"
    }
  }
}

image "cpu" {
  platform = "linux/arm64"
  python { requirements = [format("%s>=%d", "onnxruntime", 1)] }
}
