// Package requirement reads what Python distributions need: PEP 508's requirements with their
// extras and environment markers.
//
// [Parse] reads one; [Environment] says whether its marker holds for an image's interpreter
// and machine, and the extras that somebody asks for. Requirements come out of an image or a
// recipe and are a stranger's: they are bounded, and what is not to be understood is an error.
package requirement
