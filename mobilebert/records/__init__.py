"""Records of token ids with word starts: form, Beam writer, reader.

Only `reader` imports TensorFlow, only `pipeline` Beam.
"""
