"""The app: a model of its own with a vector, and reviews as documents of a collection."""
