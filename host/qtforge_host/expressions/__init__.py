"""CEL expressions: compiling, evaluating, and explaining failures; the only user of the library."""
