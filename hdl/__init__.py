"""Synthesizable hardware of MMSP, one package per block."""
