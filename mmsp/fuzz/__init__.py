"""Random networks, judged by TensorFlow Lite Micro: golden models and chip are the accused.

`mmsp.fuzz.generator` draws a network, `mmsp.fuzz.judge` runs it three ways, `mmsp.fuzz.shrinker`
makes one that fails small, and `mmsp.fuzz.campaign` does all of it many times.
"""
