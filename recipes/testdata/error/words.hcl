imagine "x" {} # ERROR: Unknown block
image "Bad Name" { # ERROR: Invalid image name
  platfrom = "linux/amd64" # ERROR: Unknown word
  platform = "linux/amd46" # ERROR: Unknown platform
  service "jupyter" {} # ERROR: Not supported yet
  model "m" {} # ERROR: Not supported yet
  sign { # ERROR: Two signers
    identity = "https://github.com/acme/*" # ERROR: Invalid identity
    issuer = "https://user@issuer.example" # ERROR: Invalid issuer
    key = "ssh://host/key" # ERROR: Unknown key service
    public_key = "/etc/cosign.pub" # ERROR: File from outside
    trust_root = "../root.json" # ERROR: File from outside
    keys = [] # ERROR: Unknown word
  }
  pytorch {
    version = "2.9.1+cu128" # ERROR: Invalid torch version
    gpus    = ["A100", "A1000000"] # ERROR: Unknown GPU
    driver  = "new" # ERROR: Invalid driver version
  }
  python {
    version = "3.12" # ERROR: Python is not in the base
    requirements = ["numpy", "x @ https://h.example/x.whl"] # ERROR: Invalid requirement
    files = ["bad.txt", "missing.txt"] # ERROR: Requirements cannot be taken # ERROR: File cannot be read
    index "default" { # ERROR: Invalid index name
      url = "https://h.example/simple"
      packages = ["acme-*"]
    }
    index "plain" {
      url = "http://h.example/simple" # ERROR: Invalid address
      packages = ["*"] # ERROR: Invalid package name
    }
    index "empty" {} # ERROR: Index without packages
    wheel "../acme-1.0-py3-none-any.whl" {} # ERROR: Wheel cannot be read
    wheel "acme.zip" {} # ERROR: Invalid wheel
    wheel "https://u:p@h.example/acme-1.0-py3-none-any.whl" {} # ERROR: Wheel twice
    wheel "https://u:p@h.example/other-1.0-py3-none-any.whl" {} # ERROR: Invalid wheel
    wheel "acme2-1.0-py3-none-any.whl" {
      sha256 = "0000000000000000000000000000000000000000000000000000000000000000" # ERROR: Another wheel
    }
    accept "x.whl" { # ERROR: Invalid accept
      sha256 = "0" # ERROR: Invalid sha256
      reason = "" # ERROR: Accept without a reason
    }
  }
  environment "Bad" { requirements = ["x"] } # ERROR: Invalid environment name
  environment "none" {} # ERROR: Environment without requirements
  base "debian" {
    snapshot = "yesterday" # ERROR: Invalid snapshot
    archive "debian" { # ERROR: Invalid archive name
      url = "ftp://h.example" # ERROR: Invalid address
      key = "../acme.gpg" # ERROR: Key cannot be read
      components = ["Main!"] # ERROR: Invalid component
    }
    archive "acme" { # ERROR: Archive without a key
      url = "https://deb.example"
    }
  }
  user {
    uid = 0 # ERROR: Invalid uid
    groups = ["vidio"] # ERROR: Unknown group
  }
  slim { drop = ["header"] } # ERROR: Unknown rule
  start { no_gpu = "go" } # ERROR: Unknown outcome
  env = { LD_PRELOAD = "/x.so" } # ERROR: Variable is not the recipe's
  ports = [0] # ERROR: Wrong kind of value
  workdir = "app" # ERROR: Invalid path
  writable = ["/usr/lib/forge"] # ERROR: Path is taken
  copy "../secrets" { to = "/x" } # ERROR: Copy from outside
  copy "nothing-here" { to = "/x" } # ERROR: Copy of nothing
  test "t" { command = [] } # ERROR: Test without a command
  test "t" { command = ["true"] } # ERROR: Invalid test name
  run "r" { # ERROR: Run without an output
    command = ["true"]
  }
  run "s" {
    command = ["true"]
    output  = ["/app/a", "/app/a/b"] # ERROR: Output twice
    env     = { LD_PRELOAD = "x" } # ERROR: Variable is not the recipe's
  }
  run "u" {
    command = ["true"]
    output  = ["/opt/venv/x"] # ERROR: Path is taken
    network = true # ERROR: Unknown word
  }
  command = ["ghp_012345678901234567890123456789abcdef"] # ERROR: Secret in the recipe
}
