"""Running a compiled program with JAX alone (no nengo, no Keras)."""
