# PyTorch 2.9.1 with CUDA 12.8 on Debian trixie: slim, non-root, reproducible.
image "pytorch-cuda" {
  pytorch {
    version = "2.9.1"
    cuda    = "12.8"
    gpus    = ["A100", "H100", "RTX 4090"]
    driver  = ">= 525.60.13"
  }

  python {
    requirements = ["numpy", "torchvision"]
  }

  slim {
    drop = ["static-libraries", "headers", "tests"]
  }

  test "imports" {
    command = ["python", "-c", "import torch, torchvision, numpy; print(torch.__version__, torch.ones(3).sum().item())"]
  }
}
