"""Readers of model files, and the writer of .tflite files."""
