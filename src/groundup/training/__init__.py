"""Batches and a model become weights: optimizers, schedules, the loop, and when it stops.

It emits events and knows no screen.
"""
