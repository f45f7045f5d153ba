variable "x" {} # ERROR: Variable without a value
locals {
  a = local.b # ERROR: Local refers to itself
  b = local.a # ERROR: Local refers to itself
  c = [for x in ["a"] : x] # ERROR: Loop in a recipe
  d = nonsense("x") # ERROR: Call to unknown function
  e = file("../../etc/passwd") # ERROR: Error in function call
}
image "a" {
  user {}
  user {} # ERROR: Duplicate block
}
image "a" {} # ERROR: Duplicate image
