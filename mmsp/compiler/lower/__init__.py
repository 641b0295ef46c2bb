"""Code generation: layers become jobs of the engine."""
