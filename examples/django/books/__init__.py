"""The app: a model with a vector field, and reviews as documents of a collection."""
