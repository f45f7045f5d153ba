// Containers says whether containers/image, which is what podman, skopeo, Buildah and CRI-O judge
// images with, takes an image: Debian's builds of the two have Sigstore switched off.
package main

import (
	"context"
	"fmt"
	"os"

	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

// usage: containers POLICY.JSON REGISTRIES.D AUTHFILE CERTIFICATES REFERENCE
func main() {
	sys := &types.SystemContext{RegistriesDirPath: os.Args[2], AuthFilePath: os.Args[3], DockerCertPath: os.Args[4]}
	if err := judge(os.Args[1], sys, os.Args[5]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge(policy string, sys *types.SystemContext, reference string) error {
	ctx := context.Background()
	p, err := signature.NewPolicyFromFile(policy)
	if err != nil {
		return err
	}
	by, err := signature.NewPolicyContext(p)
	if err != nil {
		return err
	}
	ref, err := docker.ParseReference("//" + reference)
	if err != nil {
		return err
	}
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return err
	}
	defer src.Close()
	_, err = by.IsRunningImageAllowed(ctx, image.UnparsedInstance(src, nil))
	return err
}
