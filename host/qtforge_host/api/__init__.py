"""Each use case once; the command line and the HTTP interface parse, call this, and print."""
