"""Bit-exact integer models of the audio front end: samples in, int8 features out."""
