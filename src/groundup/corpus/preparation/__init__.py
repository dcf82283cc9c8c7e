"""How a corpus is made, in parts: `prepare.py` puts the stages together on one machine, `cluster.py` on many."""
