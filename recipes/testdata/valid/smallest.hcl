image "smallest" {
  pytorch {}
}
