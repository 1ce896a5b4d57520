"""Training: labelled face images in, a Keras model and an honest record of the run out."""
