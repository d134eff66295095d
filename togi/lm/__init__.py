"""A language model: score and generate, by a local engine, an endpoint or an exact toy."""
