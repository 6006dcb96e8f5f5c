"""Several studies together: an arm of each, the same arms in all of them, and what differs between the studies."""
