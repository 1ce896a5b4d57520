"""Benchmarks: accuracy and latency of TFLite files, side by side, on the path the camera uses."""
