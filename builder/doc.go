// Package builder turns a recipe and its lock into a plan, and the plan into an OCI image
// on disk.
//
// A Plan is a pure function of recipe and lock. Build brings the layers into the store
// (builder/convert), makes the few that depend on the recipe alone (forge-init, the
// settings, copied files), and assembles an OCI layout. Forge always writes its own config
// and manifest, so that the digest does not depend on who assembled the image.
//
// Labels and annotations of an image: org.opencontainers.image.{title,created,base.*} where
// they apply, and forge's own:
//
//	dev.forge.cuda                CUDA version inside the wheels, "12.8"
//	dev.forge.driver.minimum      oldest driver on which it starts, "525.60.13"
//	dev.forge.driver.recommended  driver that NVIDIA shipped with that CUDA
//	dev.forge.sm                  compute capabilities with native code, "7.0 7.5 8.0"
//	dev.forge.ptx                 compute capabilities with PTX
//	dev.forge.torch               what torch/version.py says
package builder
