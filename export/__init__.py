"""Export of trained weights to model files: ONNX, PyTorch programs, TensorRT engines.

Needs torch and onnx (extra `export`), except for `rtmag export --help`.
"""
