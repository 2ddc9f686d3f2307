"""Make the accuracy set: documents whose answers were drawn before they were printed."""
