"""Ways to turn the bytes of a response into records: ours, and those of peers, each as its own users would write it."""
