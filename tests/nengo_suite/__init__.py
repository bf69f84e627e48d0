"""The test suites of nengo and nengo_spa, run on nengo_jax."""
