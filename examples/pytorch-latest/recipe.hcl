# The newest torch that the default index serves when the lock is made, with the CUDA it carries.
image "pytorch-latest" {
  pytorch {
    gpus = ["A100", "H100", "B200"]
  }

  python {
    bytecode = true # no start compiles torch's modules again
  }

  test "imports" {
    command = ["python", "-c", "import torch; print(torch.__version__, torch.ones(3).sum().item())"]
  }
}
