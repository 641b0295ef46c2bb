"""Verification: cocotb benches and drivers, and the helpers that simulate or prove a component."""
