"""The way to an FPGA: resource budgets, synthesis and its check."""
