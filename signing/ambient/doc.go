// Package ambient finds the identity token that a pipeline gives to its jobs, for signing
// without a key: GitHub Actions, GitLab CI, Buildkite, Google Cloud, Kubernetes, a variable
// or a file.
//
// [Find] says where a token comes from before one is asked for; each call of the source asks
// anew, because tokens live for minutes. A token is never printed, and never part of an error.
package ambient
