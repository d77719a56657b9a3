"""The project's own data sets, each a folder with builder, README and citation."""

# What each set's builder is at; a prepared copy of another version is not read.
VERSIONS = {"xo": "1.0.0", "digits": "1.0.0", "synthetic_digits": "1.0.0"}
