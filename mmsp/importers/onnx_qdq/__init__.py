"""Reads int8 ONNX networks in QDQ form: QuantizeLinear and DequantizeLinear around float nodes.

`file` opens the file, `reader` walks the nodes, `values` says what a value can be on the way,
`builder` collects what comes of it, `edges` gives it inputs and outputs; the other modules each
translate some operators.
"""

from mmsp.importers.onnx_qdq.reader import OnnxImport, import_onnx, read_onnx

__all__ = ["OnnxImport", "import_onnx", "read_onnx"]
