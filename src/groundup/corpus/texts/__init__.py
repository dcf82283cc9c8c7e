"""One text at a time: cleaned, masked, its language found and its quality measured."""
