"""CEL expressions: compiling, evaluating, and explaining failures."""
