"""One file for each topic of `groundup explain`: what is to be seen, computed from a run or a toy, ready for JSON."""
