"""Weights -> ONNX -> engines. Needs torch and onnx (extra `export`)."""
