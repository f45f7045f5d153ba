"""Adds two vectors with ONNX Runtime; the model is written by hand, so no other package is needed."""

import numpy
import onnxruntime


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited protobuf field (payloads under 128 bytes)."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def value(name: str) -> bytes:
    """A ValueInfoProto: float32, shape [3]."""
    shape = field(2, field(1, bytes([1 << 3, 3])))
    return field(1, name.encode()) + field(2, field(1, bytes([1 << 3, 1]) + shape))


node = field(1, b"a") + field(1, b"b") + field(2, b"sum") + field(4, b"Add")
graph = field(1, node) + field(2, b"add") + field(11, value("a")) + field(11, value("b")) + field(12, value("sum"))
model = bytes([1 << 3, 8]) + bytes([7 << 3 | 2, len(graph)]) + graph + field(8, bytes([2 << 3, 13]))

session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
a = numpy.array([1, 2, 3], dtype=numpy.float32)
(out,) = session.run(None, {"a": a, "b": a})
assert out.tolist() == [2.0, 4.0, 6.0], out
print("onnxruntime", onnxruntime.__version__, out.tolist())
