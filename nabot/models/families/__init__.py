"""The architectures that nabot computes. `family.py` says what one is, `known.py` which there are.

One file for each tells how its config.json and its GGUF metadata become a `DecoderConfig`, what its tensors are called
in either, and which decoder computes it. A family that differs in numbers has nothing more; one whose layers are built in
another way has a decoder of its own beside `nabot/models/decoder.py`.
"""
