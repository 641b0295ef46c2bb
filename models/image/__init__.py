"""Bit-exact integer models of the image front end: camera pixels in, tensors and pictures out."""
