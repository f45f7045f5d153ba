image "a" {
  repository = "r.example/team/a"
  tags       = ["1", "2"]
}

image "b" {
  repository = "r.example/team/a"
  tags       = ["2", "1"] # ERROR: Tag of two images
}

image "c" {
  repository = "r.example/team/a"
  platform   = "linux/arm64"
  tags       = ["2", "3"] # ERROR: Tags of one image # ERROR: Tags of one image
}

image "d" {
  repository = "r.example/team/d"
  tags       = ["1"]
  sign { key = "a.key" }
}

image "e" {
  repository = "r.example/team/d"
  platform   = "linux/arm64"
  tags       = ["1"]
  sign { key = "b.key" } # ERROR: Two signers
}
