"""Tests of the reference: against interval arithmetic, against ONNX, and on special values."""
