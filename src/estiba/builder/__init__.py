"""From a Dockerfile and its context to an image. `build.build` reads as the steps of a build."""
