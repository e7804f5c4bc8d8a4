"""ONNX out, proved by running it, and in, as hostile input; the entrances are in `grus.export`."""
