"""Ways to turn the bytes of an answer into records: ours, and those of peers, each as its own users would write it."""
