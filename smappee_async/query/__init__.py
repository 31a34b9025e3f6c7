"""A question over charging parks and time, and its answer as a stream."""
