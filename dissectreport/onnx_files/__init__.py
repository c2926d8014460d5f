"""Networks as ONNX files, for programs that have no torch: exported, made small and fast, and run to compare them."""
