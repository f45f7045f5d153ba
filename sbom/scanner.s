// Functions without a body (scanner.go) need a package that is not all Go.
