"""A query over charging parks and time, and its response as a stream."""
