# Whom consumers of these images trust: the workflow that builds them, on its main branch.
signer "image workflow" {
  identity = "https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"
  issuer   = "https://token.actions.githubusercontent.com"
  certificate = {
    source_repository_uri = "https://github.com/acme/ml"
    runner_environment    = "github-hosted"
  }
}

images "ml" {
  repositories = ["ghcr.io/acme/ml/*"]
  signed_by    = ["image workflow"]
  max_age      = "90 days"

  sbom {}
  provenance {
    builders = ["https://github.com/acme/ml/.github/workflows/image.yml@refs/heads/main"]
  }
  scan {
    max_age        = "3 days"
    limit          = "high"
    accept_waivers = true
    rescan         = true
  }
  tests {}
}
