"""One module for each kind of file: `read_KIND(Reading)` gives its documents. They run in the reader processes."""
