"""Agents as files that run without this library: ONNX, or programs of torch.export."""
