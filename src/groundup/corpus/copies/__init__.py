"""Which texts are alike: their words and paragraphs as arrays, and MinHash sketches of them."""
