"""Conversion: a Keras model in, TFLite files that carry their own metadata out."""
