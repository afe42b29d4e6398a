"""Official submission files: written from Runs after checks that a test server would make, and read back into Runs."""
